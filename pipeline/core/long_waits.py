"""Logs a warning when a wait for something outside this process, such as a server or a disk, takes long.

One thread watches all waits, so that a wait costs almost nothing.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator

# Seconds after which a wait is announced. A store that throttles requests usually answers sooner, so its
# waits give no message.
SAID_AFTER = 3.0
_LOOK_SECONDS = 0.5
# Seconds during which a text is not announced again. A disk that is slow at every file then gives one message
# a minute.
SAID_FOR = 60.0

_LOGGER = logging.getLogger(__name__)


def warn(text: str) -> None:
    """Log text as a warning."""
    _LOGGER.warning("%s", text)


class Watch:
    """Announces the waits that take long.

    Each wait has a number, a time at which it is due, and a text. A thread passes the texts of waits that are
    due to say, which logs them by default.
    """

    def __init__(self, say: Callable[[str], None] = warn) -> None:
        self._say = say
        self._waits: dict[int, tuple[float, str]] = {}
        self._said: dict[str, float] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, text: str, after: float = SAID_AFTER) -> int:
        """Begin a wait and return its number; announce text if the wait lasts longer than `after` seconds."""
        number = next(self._numbers)
        self._waits[number] = (time.monotonic() + after, text)
        if self._thread is None:
            self._start()
        return number

    def tell(self, number: int, text: str) -> None:
        """Change the text of a wait; has no effect once the wait was announced or has ended."""
        if number in self._waits:
            self._waits[number] = (self._waits[number][0], text)

    def end(self, number: int) -> None:
        """End a wait."""
        self._waits.pop(number, None)

    def look(self, now: float) -> None:
        """Announce every wait that is due at now (in seconds of time.monotonic), once for each wait."""
        for number, (due, text) in list(self._waits.items()):
            if now >= due and self._waits.pop(number, None) is not None and now >= self._said.get(text, now):
                self._said[text] = now + SAID_FOR
                self._say(text)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_SECONDS):
            self.look(time.monotonic())


WATCH = Watch()


@contextlib.contextmanager
def announced(text: str, after: float = SAID_AFTER) -> Iterator[None]:
    """Announce text once if the block takes longer than `after` seconds."""
    number = WATCH.begin(text, after)
    try:
        yield
    finally:
        WATCH.end(number)
