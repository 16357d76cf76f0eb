"""Folders that may vanish: an unmounted one looks like an empty store, in which everything would be trained once more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pipeline.core.errors import StoreAwayError, StoreError
from pipeline.runtime.files.base import Files

T = TypeVar("T")

# In the root of every store that was computed in; its text tells one store from another and from an empty mount point.
MARK = "store.json"


@dataclass(frozen=True)
class MarkedFiles:
    """Files that are there as long as their root carries `mark`; without it nothing is believed to be missing and nothing is written."""

    inner: Files
    mark: str

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
        """See Files. That nothing is there is believed between two looks at the mark, so that no mount slips in or out unseen."""
        return self.inner.names(folder) or self._inside(lambda: self.inner.names(folder))

    def read(self, path: str) -> bytes:
        """See Files."""
        return self._found(lambda: self.inner.read(path))

    def size(self, path: str) -> int:
        """See Files."""
        return self._found(lambda: self.inner.size(path))

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """See Files."""
        return self._found(lambda: self.inner.read_range(path, start, stop))

    def write(self, path: str, content: bytes) -> None:
        """See Files."""
        self._inside(lambda: self.inner.write(path, content))

    def create(self, path: str, content: bytes) -> bool:
        """See Files."""
        return self._inside(lambda: self.inner.create(path, content))

    def move(self, path: str, to: str) -> None:
        """See Files."""
        self._inside(lambda: self.inner.move(path, to))

    def _inside(self, act: Callable[[], T]) -> T:
        self._look()
        done = act()
        self._look()
        return done

    def _found(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except StoreError:
            self._look()
            raise

    def _look(self) -> None:
        """Raise StoreAwayError unless the root carries the mark."""
        if MARK not in self.inner.names(""):
            raise StoreAwayError(
                f"{self.location(MARK)} is gone, so this is not the store that the run works on: a mount is missing, or the folder was removed"
            )
        found = self.inner.read(MARK).decode(errors="replace")
        if found != self.mark:
            raise StoreAwayError(
                f"{self.location(MARK)} says {found}, the run works on {self.mark}: another store is mounted, or this machine does not share it"
            )
