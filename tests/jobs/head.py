"""A Ray head of its own on loopback, with token auth and a job server, in a process that whoever started it ends."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TOKEN = "a1" * 32
ROOT = Path(__file__).parents[2]
# Outside the ports that Ray hands to workers.
PORTS = range(21000, 29000)


@dataclass(frozen=True)
class Head:
    """Where a head answers, and what a client's environment must say."""

    address: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def dmm(self, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jobs", *arguments]
        ended = subprocess.run(command, cwd=cwd, env=self.environment | environment, capture_output=True, text=True, timeout=300, check=False)
        if ended.returncode and not self.is_up():
            pytest.skip("the Ray head ended by itself, as it may where ports or memory are short; nothing was tested")
        return ended

    def is_up(self) -> bool:
        """Return whether the head still runs; one that is about to end is given a moment."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        return self.process.poll() is None


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on now, others than whoever looks at the same moment."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


@contextlib.contextmanager
def running_head() -> Iterator[Head]:
    """Start a head with two CPUs and yield it once its job server answers; end exactly the process group that was started."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_TRACKING"))}
    environment = kept | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    # Jobs are started as `python`, by whoever the cluster's path finds first.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    port, dashboard, client, *others = free_ports(7)
    names = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port", "node-manager-port")
    options = [f"--{name}={number}" for name, number in zip(names, others, strict=True)]
    # Sockets lie in this folder, and their paths may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="head-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2", "--node-ip-address=127.0.0.1"]
        command += [f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        command += ["--min-worker-port=0", "--max-worker-port=0", "--object-store-memory=100000000", f"--temp-dir={folder}", *options]
        with open(f"{folder}/head.log", "wb") as log:
            head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        address = f"http://127.0.0.1:{dashboard}"
        try:
            await_answer(head, address)
            # Jobs are started by the node's agent, which comes up after the server that takes them.
            await_answer(head, f"http://127.0.0.1:{others[0]}")
            yield Head(address, environment, head)
        finally:
            # It ends what it started; what is left of its group after that is killed.
            head.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                head.wait(timeout=10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)
            head.wait()


def await_answer(head: subprocess.Popen[bytes], address: str, seconds: float = 60.0) -> None:
    """Return once somebody answers at address, be it with a refusal; fail if the head ends before."""
    for _ in range(int(seconds / 0.25)):
        try:
            urllib.request.urlopen(f"{address}/api/version", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                head.wait(timeout=0.25)
                break
        else:
            return
    raise RuntimeError(f"nobody answers at {address}")
