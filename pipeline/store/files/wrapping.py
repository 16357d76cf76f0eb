"""The base class of files that add something to the reading and writing of other files."""

from collections.abc import Callable
from typing import TypeVar

from typing_extensions import override

from pipeline.store.files.base import Files

T = TypeVar("T")


class Wrapping(Files):
    """Files that forward each call to other files, inside `reading` or `writing`.

    A subclass overrides these two methods to add its own work once for all calls.
    """

    inner: Files

    def reading(self, act: Callable[[], T]) -> T:
        """Return the result of act, which changes nothing."""
        raise NotImplementedError

    def writing(self, act: Callable[[], T]) -> T:
        """Return the result of act, which changes stored files."""
        return self.reading(act)

    @property
    @override
    def uri(self) -> str:
        return self.inner.uri

    @property
    @override
    def at_once(self) -> int:
        return self.inner.at_once

    @override
    def location(self, path: str) -> str:
        return self.inner.location(path)

    @override
    def names(self, folder: str) -> list[str]:
        return self.reading(lambda: self.inner.names(folder))

    @override
    def read(self, path: str) -> bytes:
        return self.reading(lambda: self.inner.read(path))

    @override
    def size(self, path: str) -> int:
        return self.reading(lambda: self.inner.size(path))

    @override
    def modified(self, path: str) -> float:
        return self.reading(lambda: self.inner.modified(path))

    @override
    def read_range(self, path: str, start: int, stop: int) -> bytes:
        return self.reading(lambda: self.inner.read_range(path, start, stop))

    @override
    def write(self, path: str, content: bytes, *, durable: bool = True) -> None:
        self.writing(lambda: self.inner.write(path, content, durable=durable))

    @override
    def create(self, path: str, content: bytes) -> bool:
        return self.writing(lambda: self.inner.create(path, content))

    @override
    def move(self, path: str, to: str) -> None:
        self.writing(lambda: self.inner.move(path, to))
