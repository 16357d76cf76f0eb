"""Opens the tracker of a run.

Importing this module does not import MLflow (1.4 s): `open_tracker` does, and only if tracking is on.
"""

import logging
import os
from pathlib import Path

from pipeline.core.errors import ConfigError
from pipeline.core.settings.tracking_address import check_driver_installed, check_form
from pipeline.tracking.tracker import Tracker

# Environment variables that are set unless the user has set them. By default MLflow waits four minutes for a
# server that is down. With these values it gives up within 5 s if the server refuses the connection, and
# within 30 s if the server is silent.
MLFLOW_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Errors are raised as exceptions. At a level below CRITICAL, MLflow also logs them, with a traceback.
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
}


def open_tracker(
    uri: str | None,
    *,
    store_root: Path | None,
    experiment: str,
    max_artifact_mb: float = 64.0,
    system_metrics: bool = True,
) -> Tracker:
    """Return the tracker at uri (see tracking_uri); artifacts above max_artifact_mb are logged by reference.

    store_root is None if the store is not a folder on this machine. No server or database is contacted before
    `begin`, which also creates the database. system_metrics says whether CPU, memory and GPU of the driver's
    machine are logged while the run works; MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false overrides it. Raises
    ConfigError if the address cannot work.
    """
    address = tracking_uri(uri, store_root=store_root)
    if address is None:
        return Tracker()
    for variable, value in MLFLOW_DEFAULTS.items():
        os.environ.setdefault(variable, value)
    from pipeline.tracking.mlflow.mlflow_tracker import MlflowTracker

    # If other code imported MLflow before the variable was set, MLflow did not read it.
    logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    return MlflowTracker(
        address,
        experiment=experiment,
        artifact_root=_artifact_root(address, store_root),
        max_artifact_mb=max_artifact_mb,
        system_metrics=system_metrics,
    )


def tracking_uri(uri: str | None, *, store_root: Path | None, used_here: bool = True) -> str | None:
    """Return the address that uri stands for, None if tracking is off.

    If uri is None, the address is MLFLOW_TRACKING_URI of the environment, or else an SQLite file in the
    store. The text "none" turns tracking off. Raises ConfigError if no machine can use the address, or if
    used_here is true and this machine cannot. Also raises it if no address is given and the store is not a
    folder.
    """
    given = uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    default = (
        "sqlite:////absolute/path/mlflow.db"
        if store_root is None
        else f"sqlite:///{store_root.resolve()}/mlflow.db"
    )
    if given.lower() == "none":
        return None
    if given:
        check_form(given)
    if given and used_here:
        check_driver_installed(given, store_root=store_root)
    if not given and store_root is None:
        raise ConfigError(
            "an object store cannot hold MLflow's database; set tracking.uri to a server "
            f"(http://HOST:PORT), {default} or none"
        )
    return given or default


def _artifact_root(address: str, store_root: Path | None) -> Path:
    """Return the folder in which artifacts are kept if no server keeps them.

    The folder is in the store, or beside the database if the store is not a folder.
    """
    beside = Path(address.removeprefix("sqlite:///")).parent if address.startswith("sqlite:///") else Path()
    return (store_root or beside).resolve() / "mlartifacts"
