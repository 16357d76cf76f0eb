"""Folders on a mount that may vanish.

An unmounted folder looks like an empty store, and a run would train everything once more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from typing_extensions import override

from pipeline.core.errors import StoreError, StoreUnseenError
from pipeline.store.files.base import Files
from pipeline.store.files.wrapping import Wrapping

T = TypeVar("T")

# This file lies in the root of every store that a run has used. Its text distinguishes the store from other
# stores and from an empty mount point.
MARK = "store.json"


@dataclass(frozen=True)
class MarkedFiles(Wrapping):
    """Files that can be used only while the file MARK in their root contains `mark`.

    Without it, the store is away: a file that is not found does not count as missing, and writes fail.
    """

    inner: Files
    mark: str

    @override
    def names(self, folder: str) -> list[str]:
        """Return the sorted names in folder; if there are none, list it again between two checks of the mark.

        The two checks ensure that an empty list does not come from a missing mount.
        """
        return self.inner.names(folder) or self._inside(lambda: self.inner.names(folder))

    @override
    def reading(self, act: Callable[[], T]) -> T:
        """Return the result of act; if act fails and the mark is missing, raise StoreUnseenError instead."""
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
                f"{self.location(MARK)} is gone, so this is not the store that the run uses: a mount is "
                "missing, or the folder was removed"
            )
        found = self.inner.read(MARK).decode(errors="replace")
        if found != self.mark:
            raise StoreUnseenError(
                f"{self.location(MARK)} contains {found} but the run uses the store {self.mark}: "
                "another store is mounted, or this machine does not share it"
            )
