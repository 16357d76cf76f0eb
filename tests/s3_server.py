"""A real S3 server on loopback, in this process, that counts what it is asked and can be told to fail: throttled, broken, hung up, gone."""

import re
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

# Bound at import and listened to by whoever needs the server first, so that processes started before know its address.
SOCKET = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
SOCKET.bind(("127.0.0.1", 0))
ENDPOINT = f"http://127.0.0.1:{SOCKET.getsockname()[1]}"
BUCKET = "runs"
ENVIRONMENT = {
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Asked:
    """One request: its verb, its path with the query, the range asked for, and the bytes that went out."""

    verb: str
    path: str
    range: str
    sent: int


@dataclass
class Fault:
    """What happens to the next `times` requests that `matches`: a status in place of an answer, or a connection cut before or after the work."""

    kind: int | str
    times: int
    matches: Callable[[str, str], bool]


@dataclass
class Server:
    """The WSGI application before moto's own."""

    inner: Any
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, kind: int | str, times: int = 1, *, verb: str = "", path: str = "") -> Fault:
        """Let the next requests of a verb whose path matches end with a status, "cut" (nothing is done) or "unheard" (done, but not answered)."""
        fault = Fault(kind, times, lambda asked, where: asked.startswith(verb) and re.search(path, where) is not None)
        self.faults.append(fault)
        return fault

    @contextmanager
    def counting(self) -> Iterable[list[Asked]]:
        """Yield the list that the requests of the block are added to."""
        before, found = len(self.asked), []
        yield found
        found += self.asked[before:]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        verb, path = environ["REQUEST_METHOD"], f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        kind = self._fault(verb, path)
        if isinstance(kind, int):
            body = b"<Error><Code>SlowDown</Code><Message>please slow down</Message></Error>" if kind == 503 else b""
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            content, status, headers = body, f"{kind} Failed", [("Content-Length", str(len(body))), ("Content-Type", "application/xml")]
        elif kind == "cut":
            return self._hang_up(environ)
        else:
            answer: list[Any] = []
            content = b"".join(self.inner(environ, lambda *arguments: answer.extend(arguments)))
            status, headers = answer[0], answer[1]
            if kind == "unheard":
                return self._hang_up(environ)
        with self.lock:
            self.asked.append(Asked(verb, path, environ.get("HTTP_RANGE", ""), 0 if verb == "HEAD" else len(content)))
        start_response(status, headers)
        return [content]

    def _fault(self, verb: str, path: str) -> int | str | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.matches(verb, path):
                    fault.times -= 1
                    return fault.kind
        return None

    def _hang_up(self, environ: dict[str, Any]) -> Iterable[bytes]:
        with suppress(OSError):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError


def start() -> tuple[Server, Callable[[], None]]:
    """Return the server, its bucket made, and what stops it."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *arguments: Any) -> None:
            return None

    server = Server(DomainDispatcherApplication(create_backend_app))
    SOCKET.listen(128)
    http = make_server("127.0.0.1", SOCKET.getsockname()[1], server, threaded=True, fd=SOCKET.fileno(), request_handler=Silent)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()

    def stop() -> None:
        http.shutdown()
        thread.join()

    return server, stop
