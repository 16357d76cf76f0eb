"""Files in an object store, through fsspec.

Writing a file is one PUT request. Creating a file that must not exist yet is one conditional PUT. Reading the
names in a folder is one listing.
"""

import contextlib
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import fsspec
from fsspec.asyn import sync
from typing_extensions import override

from pipeline.core.errors import ConfigError, StoreAwayError, StoreError
from pipeline.core.settings.validation_errors import did_you_mean
from pipeline.store.files.base import Files, checked
from pipeline.store.files.object_stores import SCHEMES, Scheme

# HTTP statuses after which a retry may succeed: timed out, another writer's conditional PUT is running, too
# early, too many requests.
COME_AGAIN = frozenset({408, 409, 425, 429})
NOT_IMPLEMENTED = 501
PRECONDITION_FAILED = 412


@dataclass(frozen=True)
class ObjectFiles(Files):
    """Objects below uri, which is scheme://bucket or scheme://bucket/prefix.

    Listings are never cached, because other processes write there too.
    """

    root: str
    scheme: Scheme
    fs: Any
    at_once: ClassVar[int] = 16

    @property
    @override
    def uri(self) -> str:
        return self.root

    @classmethod
    def at(cls, uri: str) -> "ObjectFiles":
        """Return the files at uri; credentials come from the environment or the machine's role.

        Raises ConfigError for a uri that cannot hold a store, or whose package is not installed.
        """
        name = _checked_scheme(uri)
        scheme = SCHEMES[name]
        try:
            fs = fsspec.filesystem(name, use_listings_cache=False, **scheme.options)
        except ImportError as error:
            raise ConfigError(
                f"store {uri!r} needs {scheme.package}; pip install 'datamodel-matching[{scheme.extra}]'"
            ) from error
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"store {uri!r} cannot be opened ({error}); give {scheme.credentials}"
            ) from error
        for attribute, value in scheme.attributes.items():
            setattr(fs, attribute, value)
        return cls(uri.rstrip("/"), scheme, fs)

    @override
    def location(self, path: str) -> str:
        return f"{self.uri}/{checked(path, self.uri)}"

    @override
    def names(self, folder: str) -> list[str]:
        place = self.location(folder) if folder else self.uri
        with self._boundary(place, "listed"):
            try:
                found = self._list(place)
            except FileNotFoundError as error:
                # If the error has no status of a server, the package found nothing. With a status, there is
                # no such bucket.
                if _status(error) is not None:
                    raise
                return []
        below = f"{self.fs._strip_protocol(place)}/"
        return sorted(
            {name.removeprefix(below).rstrip("/") for name in found if name.startswith(below)} - {""}
        )

    @override
    def read(self, path: str) -> bytes:
        with self._boundary(self.location(path), "read"):
            return self.fs.cat_file(self.location(path))

    @override
    def size(self, path: str) -> int:
        with self._boundary(self.location(path), "read"):
            return int(self.fs.info(self.location(path))["size"])

    @override
    def modified(self, path: str) -> float:
        with self._boundary(self.location(path), "read"):
            return float(self.fs.modified(self.location(path)).timestamp())

    @override
    def read_range(self, path: str, start: int, stop: int) -> bytes:
        with self._boundary(self.location(path), "read"):
            return self.fs.cat_file(self.location(path), start=start, end=stop)

    @override
    def write(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """Write content to path, atomically; it is durable once the server has answered.

        More than 100 MB are sent in parts, which appear together when the last part has arrived.
        """
        with self._boundary(self.location(path), "written"):
            self.fs.pipe_file(self.location(path), content)

    @override
    def create(self, path: str, content: bytes) -> bool:
        """Write content to path unless an object is there; return whether this call wrote it.

        An object with equal content counts as written by this call: the HTTP client repeats a PUT whose
        answer was lost, and is then told that the object exists.
        """
        with self._boundary(self.location(path), "written"):
            try:
                self.fs.pipe_file(self.location(path), content, mode="create")
            except self._raises as error:
                if isinstance(error, FileExistsError) or _status(error) == PRECONDITION_FAILED:
                    return self.fs.cat_file(self.location(path)) == content
                raise
        return True

    @override
    def move(self, path: str, to: str) -> None:
        """Copy an object to its new path, then remove it.

        The content is read and written here, because some stores copy in the background. The old object is
        removed only when the new one exists.
        """
        self.write(to, self.read(path))
        with self._boundary(self.location(path), f"removed after it was copied to {to}"):
            self.fs.rm_file(self.location(path))

    def _list(self, place: str) -> list[str]:
        lister = getattr(self.fs, self.scheme.lister, None)
        if lister is None:
            return list(self.fs.ls(place, detail=False))
        return [entry["name"] for entry in sync(self.fs.loop, lister, place)]

    @property
    def _raises(self) -> tuple[type[Exception], ...]:
        return (OSError, *_classes(self.scheme.raises))

    @contextlib.contextmanager
    def _boundary(self, place: str, verb: str) -> Iterator[None]:
        """Turn errors of the file system into StoreAwayError if waiting helps, else into StoreError."""
        try:
            yield
        except self._raises as error:
            if isinstance(error, FileNotFoundError) and _status(error) is None:
                raise StoreError(
                    f"{place} cannot be {verb} (no such object); another process may have moved it, so run "
                    "the command again"
                ) from error
            reason = re.sub(r"\s+", " ", str(error))[:300] or type(error).__name__
            if self._passes(error):
                raise StoreAwayError(f"{place} cannot be {verb} ({reason})") from error
            remedy = f"check the bucket, its permissions and your credentials ({self.scheme.credentials})"
            raise StoreError(f"{place} cannot be {verb} ({reason}); {remedy}") from error

    def _passes(self, error: BaseException) -> bool:
        if isinstance(error, (ConnectionError, TimeoutError, *_classes(self.scheme.passing))):
            return True
        status = _status(error) or 0
        return status in COME_AGAIN or (status >= 500 and status != NOT_IMPLEMENTED)


def _classes(names: tuple[str, ...]) -> tuple[type[Exception], ...]:
    """Return the exception classes with these names, each written as `module:Class`."""
    return tuple(
        getattr(importlib.import_module(module), attribute)
        for module, attribute in (name.split(":") for name in names)
    )


def _checked_scheme(uri: str) -> str:
    """Return the scheme of uri.

    Raises ConfigError unless uri is scheme://bucket or scheme://bucket/prefix of a known scheme, without
    secrets.
    """
    name, _, rest = uri.partition("://")
    bucket, *prefix = rest.rstrip("/").split("/")
    shown = f"{name}://{re.sub(r'^.*@', '***@', bucket)}"
    if name not in SCHEMES:
        raise ConfigError(
            f"store {shown!r}: unknown scheme {name!r}; known: a folder, "
            f"{', '.join(sorted(SCHEMES))}.{did_you_mean(name, SCHEMES)}"
        )
    scheme = SCHEMES[name]
    # Azure writes a container as container@account; a colon before the @ is a password in every scheme.
    user = bucket.rpartition("@")[0]
    if ":" in user or (user and scheme.extra != "azure") or re.search(r"[?#]", rest):
        raise ConfigError(
            f"store {shown!r} holds credentials or a query, which would be logged with it; give "
            f"{scheme.credentials}"
        )
    if not bucket:
        raise ConfigError(f"store {uri!r} names no bucket; expected {name}://bucket/prefix")
    try:
        checked("/".join([bucket, *prefix]), f"{name}://")
    except StoreError as error:
        raise ConfigError(f"store {uri!r}: {error}") from error
    return name


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error, or None if no server answered."""
    while error is not None:
        response = getattr(error, "response", None)
        known = (
            response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
        )
        for value in (known, *(getattr(error, name, None) for name in ("status_code", "status", "code"))):
            if isinstance(value, int | str) and re.fullmatch(r"[1-5]\d\d", str(value)):
                return int(value)
        error = error.__cause__ or error.__context__
    return None
