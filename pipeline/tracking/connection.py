"""The connection to a tracker, which is tried again at intervals after a failure.

The user gets one warning when the connection fails, and one when it works again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.core.errors import PipelineError, TrackingError


class Link:
    """Records whether a tracker answers, and tries to reach a tracker that does not.

    begin is a function that begins the run in the tracker, or continues it. While the tracker does not
    answer, look calls begin at most once every retry_seconds.
    """

    def __init__(
        self, begin: Callable[[], None], *, warn: Callable[[str], None], retry_seconds: float
    ) -> None:
        self._begin, self._warn, self._seconds = begin, warn, retry_seconds
        self.is_up = False
        self._has_warned = False
        self._next = 0.0

    def look(self) -> bool:
        """Return whether the tracker answers; if it did not, try again once retry_seconds have passed."""
        return self.is_up or (time.monotonic() >= self._next and self.reach())

    def reach(self) -> bool:
        """Return whether the tracker answers; if it did not, try again now."""
        if not self.is_up:
            self._next = time.monotonic() + self._seconds
            with self.watched():
                self._begin()
                self.is_up = True
            if self.is_up and self._has_warned:
                self._has_warned = False
                self._warn("MLflow answers again; the missing values are logged now")
        return self.is_up

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn errors raised in this block into warnings, so that none of them ends the run.

        A TrackingError means that the tracker does not answer. Any other error means that a page cannot be
        made.
        """
        try:
            yield
        except TrackingError as error:
            self.is_up, self._next = False, time.monotonic() + self._seconds
            if not self._has_warned:
                self._has_warned = True
                self._warn(
                    "MLflow cannot be updated for now, but the run continues and tries again every "
                    f"{self._seconds:.0f} s: {error}"
                )
        # A page may run a user's plug-in, which may raise anything.
        except Exception as error:
            said = str(error) if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
            self._warn(f"a page of MLflow cannot be made, but the run continues: {said}")
