"""A real MLflow server on loopback, for tests that need one; it can be killed like a failing machine."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import held_ports

from pipeline.tracking.open_tracker import MLFLOW_DEFAULTS


class Server:
    """`mlflow server` with one worker on a database, artifacts in a folder that clients write themselves."""

    def __init__(self, port: int, database: str, artifacts: Path, log: Path) -> None:
        self.uri, self._log = f"http://127.0.0.1:{port}", log
        place = [
            "--backend-store-uri",
            database,
            "--default-artifact-root",
            artifacts.as_uri(),
            "--no-serve-artifacts",
        ]
        # Artifacts are shown by the server all the same where it can read the folder.
        self._command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            *place,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; raises TimeoutError with the end of its log if it does not."""
        environment = os.environ | MLFLOW_DEFAULTS | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 300
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise TimeoutError(f"MLflow's server did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it and its workers, without warning; does nothing if it does not run."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False


@contextmanager
def serving(database: str, folder: Path, artifacts: Path | None = None) -> Iterator[Server]:
    """Yield a server that answers; it is gone afterwards."""
    with held_ports(1) as (port,):
        server = Server(port, database, artifacts or folder / "artifacts", folder / "server.log")
        try:
            server.start()
            yield server
        finally:
            server.kill()
