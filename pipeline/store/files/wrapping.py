"""What files that stand before others share: all but what they add to reading and writing."""

from collections.abc import Callable
from typing import TypeVar

from pipeline.store.files.base import Files

T = TypeVar("T")


class Wrapping:
    """Files that do what other files do, each call within `reading` or `writing`, where a wrapper says once what it adds."""

    inner: Files

    def reading(self, act: Callable[[], T]) -> T:
        """Return what act, which changes nothing, returns."""
        raise NotImplementedError

    def writing(self, act: Callable[[], T]) -> T:
        """Return what act, which changes what is stored, returns."""
        return self.reading(act)

    @property
    def uri(self) -> str:
        """See Files."""
        return self.inner.uri

    @property
    def at_once(self) -> int:
        """See Files."""
        return self.inner.at_once

    def location(self, path: str) -> str:
        """See Files."""
        return self.inner.location(path)

    def names(self, folder: str) -> list[str]:
        """See Files."""
        return self.reading(lambda: self.inner.names(folder))

    def read(self, path: str) -> bytes:
        """See Files."""
        return self.reading(lambda: self.inner.read(path))

    def size(self, path: str) -> int:
        """See Files."""
        return self.reading(lambda: self.inner.size(path))

    def modified(self, path: str) -> float:
        """See Files."""
        return self.reading(lambda: self.inner.modified(path))

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """See Files."""
        return self.reading(lambda: self.inner.read_range(path, start, stop))

    def write(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """See Files."""
        self.writing(lambda: self.inner.write(path, content, durable=durable))

    def create(self, path: str, content: bytes) -> bool:
        """See Files."""
        return self.writing(lambda: self.inner.create(path, content))

    def move(self, path: str, to: str) -> None:
        """See Files."""
        self.writing(lambda: self.inner.move(path, to))
