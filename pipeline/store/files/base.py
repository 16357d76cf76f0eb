"""What a place must offer to hold a store, and which paths lie inside it."""

import io
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import cached_property
from typing import Protocol, TypeVar, runtime_checkable

from pipeline.core.errors import StoreAwayError, StoreError

S = TypeVar("S")
T = TypeVar("T")

# What a reader of Parquet asks for first, the end of the file; whatever is smaller is all there is.
FOOTER = 64 << 10
TEMPORARY = ".half-written-"
# Set once nobody needs any more what this thread waits for: a process ends only when all its threads have.
OVER: ContextVar[threading.Event | None] = ContextVar("OVER", default=None)


@runtime_checkable
class Files(Protocol):
    """A tree of files under one root; paths are relative, with forward slashes.

    Writes appear whole or not at all.

    Every method raises StoreAwayError on what passes by itself, such as a server that is too busy, and
    StoreError on what does not.
    """

    @property
    def uri(self) -> str:
        """The root, absolute."""
        ...

    @property
    def at_once(self) -> int:
        """How many requests are worth having under way at once: 1 where none travels."""
        ...

    def location(self, path: str) -> str:
        """Return where path is, as people and other programs would write it."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in folder (the root, if empty), files and folders.

        None if it does not exist.
        """
        ...

    def read(self, path: str) -> bytes:
        """Return the whole content of a file."""
        ...

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        ...

    def modified(self, path: str) -> float:
        """Return when a file was last written, in seconds since 1970 by the store's own clock, which need not be this machine's."""
        ...

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes start to stop (excluded) of a file, of which no others travel.

        Fewer, if it ends before.
        """
        ...

    def write(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """Put content at path, atomically, replacing what is there.

        What need not be durable may be empty after a power failure, where that is faster.
        """
        ...

    def create(self, path: str, content: bytes) -> bool:
        """Put content at path unless something is there; return whether this call was the one that did."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename a file; whatever interrupts this, it is at path or at to, perhaps at both."""
        ...


def checked(path: str, uri: str) -> str:
    """Return path; raises StoreError unless it names a file below the root uri, whatever file system reads it."""
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in path or not path.isprintable():
        raise StoreError(
            f"path {path!r} leaves the store {uri}; give one inside it: names joined by single slashes, "
            "without '.', '..' or backslashes"
        )
    return path


def each(files: Files, act: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return act of each item in order, several at once where each waits for answers of files to travel.

    What one raises, or an interrupt, ends it at once: items to come are not begun, and those under way wait
    for no store any more.
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
    """A stored file to seek and read in, for who wants parts of it: only those are fetched.

    What was fetched last is kept if it is small: a small shard, which its reader asks for from the end to the
    front, then costs one request.
    """

    def __init__(self, files: Files, path: str) -> None:
        self._files, self._path = files, path
        self._at = 0
        self._kept = (0, b"")
        self._away: StoreAwayError | None = None

    @cached_property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._ask(lambda: self._files.size(self._path))

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def seekable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def tell(self) -> int:
        """See io.RawIOBase."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.RawIOBase."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """See io.RawIOBase."""
        whole = size is None or size < 0
        start, stop = self._at, self.size if whole else min(self._at + (size or 0), self.size)
        if start >= stop:
            return b""
        first, kept = self._kept
        if not first <= start <= stop <= first + len(kept):
            first, kept = start, self._ask(lambda: self._files.read_range(self._path, start, stop))
            # No more, as reading into memory that was given back is twice as fast.
            self._kept = (start, kept) if len(kept) <= FOOTER else (0, b"")
        found = kept[start - first : stop - first]
        self._at += len(found)
        return found

    def _ask(self, ask: Callable[[], T]) -> T:
        """Return what ask returns.

        A store that was waited for once is away: a reader that asks once more must not wait as long again.
        """
        if self._away is not None:
            raise self._away
        try:
            return ask()
        except StoreAwayError as error:
            self._away = error
            raise
