"""The interface of a place that can hold a store, and the check that a path lies inside it."""

import io
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import cached_property
from typing import Protocol, TypeVar, runtime_checkable

from typing_extensions import override

from pipeline.core.errors import StoreAwayError, StoreError

S = TypeVar("S")
T = TypeVar("T")

# The bytes at the end of a file that a Parquet reader asks for first; a smaller file is fetched whole.
FOOTER = 64 << 10
TEMPORARY = ".half-written-"
# An event that is set when nobody needs the result of this thread any more. The thread then stops waiting,
# because a process ends only when all its threads have ended.
OVER: ContextVar[threading.Event | None] = ContextVar("OVER", default=None)


@runtime_checkable
class Files(Protocol):
    """A tree of files under one root; paths are relative, with forward slashes.

    A write appears whole or not at all. Every method raises StoreAwayError on a failure that passes by
    itself, such as a busy server, and StoreError on any other failure.
    """

    @property
    def uri(self) -> str:
        """The absolute path or address of the root."""
        ...

    @property
    def at_once(self) -> int:
        """How many requests are useful at the same time; 1 if requests do not travel over a network."""
        ...

    def location(self, path: str) -> str:
        """Return where path is, in the form that people and other programs use."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the sorted names of the files and folders in folder, or in the root if folder is empty.

        The list is empty if the folder does not exist.
        """
        ...

    def read(self, path: str) -> bytes:
        """Return the whole content of a file."""
        ...

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        ...

    def modified(self, path: str) -> float:
        """Return when a file was last written, in seconds since 1970 by the store's own clock.

        That clock may differ from this machine's.
        """
        ...

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes start to stop (excluded) of a file; no other bytes are fetched.

        The result is shorter if the file ends earlier.
        """
        ...

    def write(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """Write content to path, atomically, and replace a file that is there.

        Without durable, the file may be empty after a power failure; this is faster on some stores.
        """
        ...

    def create(self, path: str, content: bytes) -> bool:
        """Write content to path unless a file is there; return whether this call wrote it."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename a file; after an interruption it is at path or at to, perhaps at both."""
        ...


def checked(path: str, uri: str) -> str:
    """Return path; raises StoreError unless it names a file below the root uri, on any file system."""
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in path or not path.isprintable():
        raise StoreError(
            f"path {path!r} leaves the store {uri}; give a path inside it: names joined by single "
            "slashes, without '.', '..' or backslashes"
        )
    return path


def each(files: Files, act: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return act(item) for each item in order, several at once if requests travel over a network.

    An exception or an interrupt ends it at once: no further item is started, and items that are running stop
    waiting for a store.
    """
    if files.at_once == 1:
        return [act(item) for item in items]
    over = threading.Event()

    def act_until_over(item: S) -> T:
        OVER.set(over)
        return act(item)

    pool = ThreadPoolExecutor(files.at_once)
    try:
        return list(pool.map(act_until_over, items))
    finally:
        over.set()
        pool.shutdown(wait=False, cancel_futures=True)


class RangeFile(io.RawIOBase):
    """A stored file as a Python file object; only the parts that are read are fetched.

    The part fetched last is kept if it is small. A Parquet reader reads the end of a file first; for a small
    shard this is the whole file, so the shard costs one request.
    """

    def __init__(self, files: Files, path: str) -> None:
        self._files, self._path = files, path
        self._at = 0
        self._kept = (0, b"")
        self._away: StoreAwayError | None = None

    @cached_property
    def size(self) -> int:
        """The size of the whole file in bytes."""
        return self._ask(lambda: self._files.size(self._path))

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._at

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    @override
    def read(self, size: int | None = -1) -> bytes:
        whole = size is None or size < 0
        start, stop = self._at, self.size if whole else min(self._at + (size or 0), self.size)
        if start >= stop:
            return b""
        first, kept = self._kept
        if not first <= start <= stop <= first + len(kept):
            first, kept = start, self._ask(lambda: self._files.read_range(self._path, start, stop))
            # Larger parts are not kept: their memory is used again for the next part, which is twice as fast.
            self._kept = (start, kept) if len(kept) <= FOOTER else (0, b"")
        found = kept[start - first : stop - first]
        self._at += len(found)
        return found

    def _ask(self, ask: Callable[[], T]) -> T:
        """Return the result of ask.

        After one wait for a store that is away, every further call fails at once instead of waiting again.
        """
        if self._away is not None:
            raise self._away
        try:
            return ask()
        except StoreAwayError as error:
            self._away = error
            raise
