"""`dmm ui`: starts MLflow's own web interface on the tracking database of an experiment."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.options import Config, Set, StoreUri
from jobs.session import read_experiment
from pipeline.config import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.hidden_passwords import masked
from pipeline.store.files import local_folder
from pipeline.tracking.open_tracker import MLFLOW_DEFAULTS, tracking_uri

# Seconds that MLflow gets to end after SIGTERM; then it is killed.
SECONDS_TO_END = 5.0


def ui(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    host: Annotated[
        str, typer.Option(help="Address to bind to; others can reach it only if you widen this.")
    ] = "127.0.0.1",
) -> None:
    """Open the MLflow UI on the runs of a store, until it is interrupted.

    Computes nothing.
    """
    serve_ui(read_experiment(config, set_ or (), store), host=host, port=port)


def serve_ui(experiment: Experiment, *, host: str, port: int) -> None:
    """Run MLflow's UI on the experiment's tracking database until it is interrupted."""
    uri = tracking_uri(experiment.tracking.uri, store_root=local_folder(experiment.store.uri))
    if uri is None:
        raise ConfigError(
            "tracking is off (tracking.uri is 'none'), so there is no MLflow database to show; run with "
            "another tracking.uri"
        )
    if uri.startswith("http"):
        print(f"This experiment is tracked by a server: open {masked(uri)}")
        return
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise ConfigError(f"{uri} does not exist yet; `dmm run` makes it")
    print(f"MLflow UI on http://{host}:{port}, Ctrl-C ends it")
    environment = os.environ | MLFLOW_DEFAULTS | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    # MLflow starts more processes. Its own session makes all of them one group, which can be ended together.
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        server.wait()
    finally:
        _end_group(server)


def _end_group(server: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, and all processes of the group."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(SECONDS_TO_END)
    # Processes of the group that have not ended by now are killed.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
