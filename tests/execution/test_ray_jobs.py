"""A silent job server is an error within a bounded time, with a remedy."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.core.errors import ExecutionError

VERSION = {"version": "4", "ray_version": "2", "ray_commit": "", "session_name": ""}


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that says its version and nothing else."""
    over = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/api/version":
                over.wait()
                return
            content = json.dumps(VERSION).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            over.wait()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_takes_no_job_is_given_up(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.execution.ray import jobs as ray_jobs

    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", silent_server)
    monkeypatch.setattr(ray_jobs, "REQUEST_SECONDS", 0.2)
    server = ray_jobs.JobServer(silent_server)
    with pytest.raises(
        ExecutionError, match=r"has not answered for 0 s; check its dashboard.*submit it again"
    ):
        server.submit(entrypoint="true", job_id="a", working_dir=None, metadata={}, needs={}, variables={})


def test_a_head_that_falls_silent_while_its_log_is_followed_is_said_and_given_up(
    silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.execution.ray import jobs as ray_jobs

    said: list[str] = []
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", silent_server)
    for name, value in {
        "REQUEST_SECONDS": 0.2,
        "SILENCE_SECONDS": 0.5,
        "RETRY_SECONDS": 0.1,
        "SAID_AFTER": 0.1,
        "warn": said.append,
    }.items():
        monkeypatch.setattr(ray_jobs, name, value)
    with pytest.raises(ExecutionError, match="Check `dmm status`, and submit again if the head is gone"):
        ray_jobs.JobServer(silent_server).follow("a", lambda _: None)
    assert [line.partition(";")[0] for line in said] == [f"{silent_server} does not answer"]
