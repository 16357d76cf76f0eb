"""Files that repeat a call while their store is away.

A store is away if its server limits the rate of requests, a connection is lost or a mount is missing. After
any other failure the call is not repeated.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from typing_extensions import override

from pipeline.core.errors import StoreAwayError, StoreError
from pipeline.core.long_waits import WATCH
from pipeline.store.files.base import OVER, Files
from pipeline.store.files.wrapping import Wrapping

T = TypeVar("T")

# Seconds to wait for a store that is away.
PATIENCE = 120.0
_FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0

# Pauses are random, so that workers do not all repeat their requests at once. This generator has no seed,
# because workers may have set equal seeds for their models.
_JITTER = random.SystemRandom()


@dataclass(frozen=True)
class PatientFiles(Wrapping):
    """Files that repeat each call while it raises StoreAwayError.

    The pauses grow, and the wait takes at most `patience` seconds.
    """

    inner: Files
    patience: float = PATIENCE

    @override
    def reading(self, act: Callable[[], T]) -> T:
        """Return the result of act, repeated while the store is away; `writing` does the same."""
        return self._wait(act)

    @override
    def create(self, path: str, content: bytes) -> bool:
        """Write content to path unless a file is there; return whether this call wrote it.

        An earlier attempt may have worked although its answer was lost; then the file holds this content.
        """
        return self._wait(
            lambda: self.inner.create(path, content),
            again=lambda: self.inner.create(path, content) or self.inner.read(path) == content,
        )

    @override
    def move(self, path: str, to: str) -> None:
        self._wait(lambda: self.inner.move(path, to), again=lambda: self._move_again(path, to))

    def _move_again(self, path: str, to: str) -> None:
        """Repeat a move that may have worked although its answer was lost."""
        try:
            self.inner.move(path, to)
        except StoreAwayError:
            raise
        except StoreError:
            folder, _, name = to.rpartition("/")
            if name not in self.inner.names(folder):
                raise

    def _wait(self, act: Callable[[], T], *, again: Callable[[], T] | None = None) -> T:
        """Return the result of act, repeated while the store is away; repetitions call `again`, if given.

        A wait of some seconds is announced to the user. Raises StoreAwayError when patience has run out or
        nobody needs the result any more.
        """
        wait = WATCH.begin(f"the store at {self.uri} has not answered yet; waiting for it")
        try:
            return self._repeat(act, act if again is None else again, wait)
        finally:
            WATCH.end(wait)

    def _repeat(self, act: Callable[[], T], again: Callable[[], T], wait: int) -> T:
        begun, attempt = time.monotonic(), 0
        over = OVER.get() or threading.Event()
        while True:
            try:
                return act() if attempt == 0 else again()
            except StoreAwayError as error:
                waited = time.monotonic() - begun
                pause = min(_FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * _JITTER.uniform(0.5, 1.0)
                if waited + pause > self.patience or over.is_set():
                    raise type(error)(
                        f"{error}; the store did not answer for {waited:.0f} s. Check the store at "
                        f"{self.uri}, then run again: nothing written so far is lost"
                    ) from error
                WATCH.tell(
                    wait,
                    f"the store at {self.uri} cannot be reached: {error}; waiting for it up to "
                    f"{self.patience:.0f} s",
                )
            over.wait(pause)
            attempt += 1
