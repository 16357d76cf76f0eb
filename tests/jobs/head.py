"""A separate Ray head on loopback, with token auth and a job server; its caller ends its process."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import held_ports

TOKEN = "a1" * 32
ROOT = Path(__file__).parents[2]
# Characters of the head's log that its failure is told with: Ray says there which of its processes ended, and
# how.
TAIL = 4000


@dataclass(frozen=True)
class Head:
    """Where a head answers, what a client's environment must say, and where it says what became of it."""

    address: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    def dmm(self, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jobs", *arguments]
        ended = subprocess.run(
            command,
            cwd=cwd,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if ended.returncode:
            self.check()
        return ended

    def check(self) -> None:
        """Fail, with what it said last, if the head has ended by itself."""
        if self.process.poll() is not None:
            pytest.fail(
                f"the Ray head ended by itself with status {self.process.returncode}; its log "
                f"ends\n{self.log.read_text()[-TAIL:]}"
            )

    def await_answer(self, address: str, seconds: float = 300.0) -> None:
        """Return once somebody answers at address, be it with a refusal.

        Fail if the head ends before, or nobody does.
        """
        for _ in range(int(seconds / 0.25)):
            try:
                urllib.request.urlopen(f"{address}/api/version", timeout=5).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=0.25)
                self.check()
            else:
                return
        pytest.fail(f"nobody answers at {address}; the head's log ends\n{self.log.read_text()[-TAIL:]}")


@contextlib.contextmanager
def running_head() -> Iterator[Head]:
    """Start a head with two CPUs and yield it once its job server answers.

    End exactly the process group that was started.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_TRACKING"))
    }
    environment = kept | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
    }
    # Jobs are started as `python`, by whoever the cluster's path finds first.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    # Sockets lie in this folder, and their paths may have 107 characters.
    with (
        held_ports(7) as ports,
        tempfile.TemporaryDirectory(prefix="head-", dir="/tmp", ignore_cleanup_errors=True) as folder,
    ):
        port, dashboard, client, *others = ports
        names = (
            "dashboard-agent-listen-port",
            "dashboard-agent-grpc-port",
            "metrics-export-port",
            "node-manager-port",
        )
        options = [f"--{name}={number}" for name, number in zip(names, others, strict=True)]
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--head",
            "--block",
            "--num-cpus=2",
            "--node-ip-address=127.0.0.1",
        ]
        command += [
            f"--port={port}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={client}",
        ]
        command += [
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--object-store-memory=100000000",
            f"--temp-dir={folder}",
            *options,
        ]
        with open(f"{folder}/head.log", "wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        head = Head(f"http://127.0.0.1:{dashboard}", environment, process, Path(folder, "head.log"))
        try:
            head.await_answer(head.address)
            # Jobs are started by the node's agent, which comes up after the server that takes them.
            head.await_answer(f"http://127.0.0.1:{others[0]}")
            yield head
            head.check()
        finally:
            # It ends what it started; what is left of its group after that is killed.
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
