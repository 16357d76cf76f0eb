"""Logs system metrics of the driver's machine while a run works: CPU, memory, disk, network and GPU.

A thread of MLflow takes the samples.
"""

import importlib.util
import os

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

SWITCH = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class MachineMonitor:
    """Logs system metrics to a run, with one request every 10 s.

    Nothing is logged if the user has turned system metrics off or psutil is not installed. MLflow's thread
    ends when the server does not answer; call start again then.
    """

    def __init__(self, uri: str, *, is_wanted: bool) -> None:
        switched_off = os.environ.get(SWITCH, "").lower() in ("false", "0")
        self._uri, self._is_wanted = (
            uri,
            is_wanted and not switched_off and importlib.util.find_spec("psutil") is not None,
        )
        self._monitor: SystemMetricsMonitor | None = None

    def start(self, run_id: str, *, resume: bool) -> None:
        """Start logging, or start it again; if resume is true, the curves of the run continue."""
        self.stop()
        if self._is_wanted:
            self._monitor = SystemMetricsMonitor(run_id, resume_logging=resume, tracking_uri=self._uri)
            self._monitor.start()

    def stop(self) -> None:
        """Stop logging if it was started; the last samples are sent first."""
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
