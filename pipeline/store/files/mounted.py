"""Folders that may vanish.

An unmounted one looks like an empty store, in which everything would be trained once more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from typing_extensions import override

from pipeline.core.errors import StoreError, StoreUnseenError
from pipeline.store.files.base import Files
from pipeline.store.files.wrapping import Wrapping

T = TypeVar("T")

# In the root of every store that was computed in; its text tells one store from another and from an empty
# mount point.
MARK = "store.json"


@dataclass(frozen=True)
class MarkedFiles(Wrapping):
    """Files that are there as long as their root carries `mark`.

    Without it nothing is believed to be missing and nothing is written.
    """

    inner: Files
    mark: str

    def names(self, folder: str) -> list[str]:
        """See Files.

        That nothing is there is believed between two looks at the mark, so that no mount slips in or out
        unseen.
        """
        return self.inner.names(folder) or self._inside(lambda: self.inner.names(folder))

    def reading(self, act: Callable[[], T]) -> T:
        """See Wrapping. That something cannot be read is believed if the mark is there."""
        try:
            return act()
        except StoreError:
            self.look()
            raise

    @override
    def writing(self, act: Callable[[], T]) -> T:
        return self._inside(act)

    def _inside(self, act: Callable[[], T]) -> T:
        self.look()
        done = act()
        self.look()
        return done

    def look(self) -> None:
        """Raise StoreUnseenError unless the root carries the mark."""
        if MARK not in self.inner.names(""):
            raise StoreUnseenError(
                f"{self.location(MARK)} is gone, so this is not the store that the run works on: a mount is "
                "missing, or the folder was removed"
            )
        found = self.inner.read(MARK).decode(errors="replace")
        if found != self.mark:
            raise StoreUnseenError(
                f"{self.location(MARK)} says {found}, the run works on {self.mark}: another store is "
                "mounted, or this machine does not share it"
            )
