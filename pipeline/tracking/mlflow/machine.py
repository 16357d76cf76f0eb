"""System metrics of the driver's machine while it runs: CPU, memory, disk, network and GPU.

MLflow samples them in its own thread.
"""

import importlib.util
import os

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

SWITCH = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class MachineMonitor:
    """Writes system metrics to a run, one request every 10 s.

    MLflow's thread ends by itself when the server does not answer; call start again in this case.
    """

    def __init__(self, uri: str, *, is_wanted: bool) -> None:
        switched_off = os.environ.get(SWITCH, "").lower() in ("false", "0")
        self._uri, self._is_wanted = (
            uri,
            is_wanted and not switched_off and importlib.util.find_spec("psutil") is not None,
        )
        self._monitor: SystemMetricsMonitor | None = None

    def start(self, run_id: str, *, resume: bool) -> None:
        """Start, or start again; with resume the curves of the run continue."""
        self.stop()
        if self._is_wanted:
            self._monitor = SystemMetricsMonitor(run_id, resume_logging=resume, tracking_uri=self._uri)
            self._monitor.start()

    def stop(self) -> None:
        """Stop if it runs; the last samples are sent."""
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
