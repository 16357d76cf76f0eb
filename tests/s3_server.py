"""A real S3 server on loopback, in this process, that counts requests and fails on demand.

It can be throttled, broken, hang up, or be gone.
"""

import atexit
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import fsspec

# Bound at import and listened to by whoever needs the server first, so that processes started before know its
# address.
SOCKET = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
SOCKET.bind(("127.0.0.1", 0))
atexit.register(SOCKET.close)
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
    """One request: its verb, its path with the query, and the bytes that went out."""

    verb: str
    path: str
    sent: int


@dataclass
class Fault:
    """What happens to the next `times` requests of a verb whose path matches."""

    kind: int | str
    times: int
    verb: str
    path: str

    def happens(self, verb: str, path: str) -> bool:
        """Return whether it happens to this request, and count it."""
        hit = self.times > 0 and verb.startswith(self.verb) and re.search(self.path, path) is not None
        self.times -= hit
        return hit


class Server:
    """The WSGI application before moto's own.

    Without `conditional` it takes no heed of If-None-Match, as some servers do not.
    """

    def __init__(self, inner: Any) -> None:
        self.inner, self.conditional = inner, True
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    def fail(self, kind: int | str, times: int = 1, *, verb: str = "", path: str = "") -> Fault:
        """Let the next requests end with a status, "cut" or "unheard".

        With "cut" nothing is done; with "unheard" the request is done, but its answer is lost.
        """
        self.faults.append(Fault(kind, times, verb, path))
        return self.faults[-1]

    @contextmanager
    def counting(self) -> Iterator[list[Asked]]:
        """Yield the list that holds the requests of the block once it ends."""
        before, found = len(self.asked), []
        yield found
        found += self.asked[before:]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        verb, path = environ["REQUEST_METHOD"], f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        if not self.conditional:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        # One at a time: moto looks and writes in two steps, a real server in one.
        with self._lock:
            kind = next((fault.kind for fault in self.faults if fault.happens(verb, path)), None)
            status, headers, content = (
                self._failed(environ, kind) if isinstance(kind, int) else self._answer(environ, kind)
            )
            self.asked.append(Asked(verb, path, 0 if verb == "HEAD" else len(content)))
        if isinstance(kind, str):
            # The handler closes a connection on which nothing can be said.
            with suppress(OSError):
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        start_response(status, headers)
        return [content]

    def _answer(self, environ: dict[str, Any], kind: str | None) -> tuple[str, list[tuple[str, str]], bytes]:
        if kind == "cut":
            return "", [], b""
        said: list[Any] = []
        content = b"".join(self.inner(environ, lambda *words: said.extend(words)))
        return said[0], said[1], content

    def _failed(self, environ: dict[str, Any], status: int) -> tuple[str, list[tuple[str, str]], bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        code = {403: "AccessDenied", 503: "SlowDown"}.get(status, "InternalError")
        content = (
            f"<Error><Code>{code}</Code><Message>told to fail</Message></Error>".encode()
            if environ["REQUEST_METHOD"] != "HEAD"
            else b""
        )
        return (
            f"{status} Failed",
            [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))],
            content,
        )


def start() -> tuple[Server, Callable[[], None]]:
    """Return the server, its bucket made, and what stops it."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *words: Any) -> None:
            return None

    server = Server(DomainDispatcherApplication(create_backend_app))
    SOCKET.listen(128)
    http = make_server(
        "127.0.0.1",
        SOCKET.getsockname()[1],
        server,
        threaded=True,
        fd=SOCKET.fileno(),
        request_handler=Silent,
    )
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    fsspec.filesystem("s3").mkdir(BUCKET)

    def stop() -> None:
        http.shutdown()
        thread.join()

    return server, stop


def put(path: str, content: bytes) -> None:
    """Put an object past the server, 5,000 of them in a second."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(BUCKET, path, content)


def stored() -> list[str]:
    """Return the names of all objects, past the server."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    return list(s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys)


def copy(uri: str, to: str) -> None:
    """Copy all files below a uri as they are, as `aws s3 cp --recursive` does.

    Either side may be a folder.
    """
    source, root = fsspec.core.url_to_fs(uri)
    target, below = fsspec.core.url_to_fs(to)
    for path in source.find(root):
        place = f"{below}{path.removeprefix(root)}"
        target.makedirs(target._parent(place), exist_ok=True)
        target.pipe_file(place, source.cat_file(path))


def tables_at(uri: str) -> set[str]:
    """Return the names of all shards below a uri, as `tiny.tables` does of a folder."""
    files, root = fsspec.core.url_to_fs(uri)
    files.invalidate_cache()
    names = {path.removeprefix(f"{root}/") for path in files.find(root) if path.endswith(".parquet")}
    return {name for name in names if not name.startswith("quarantine/")}
