"""Standard streams that outlive their reader.

A closed terminal, a full disk or `| head` ends what is shown, not what is computed.
"""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")


class SteadyStream:
    """A text stream that keeps the first error of a write and drops everything after it.

    All else is the stream's own.
    """

    def __init__(self, stream: TextIO, error: OSError | None = None) -> None:
        self._stream, self.error = stream, error

    def write(self, text: str) -> int:
        """Write text, unless a write has failed before; return its length."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write all lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand over what is buffered."""
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _try(self, act: Callable[[], T]) -> None:
        if self.error is None:
            try:
                act()
            except OSError as error:
                self.error = error
                _discard(self._stream)


@contextlib.contextmanager
def steady_streams() -> Iterator[None]:
    """While entered, standard output and standard error are SteadyStreams.

    A character that their encoding lacks is written as an escape.
    """
    _occupy_closed()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _steady(sys.stdout, 1), _steady(sys.stderr, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _steady(stream: TextIO | None, number: int) -> SteadyStream:
    if stream is None:
        # Python has None in place of a stream that was closed when it started.
        return SteadyStream(os.fdopen(number, "w", closefd=False), OSError(errno.EBADF, "it is closed"))
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return SteadyStream(stream)


def _occupy_closed() -> None:
    """Open the null device in place of each closed standard stream.

    The next file to be opened would take its number, and its output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def failure(stream: object) -> OSError | None:
    """Return why a standard stream does not take output any more, None if it does."""
    return stream.error if isinstance(stream, SteadyStream) else None


def _discard(stream: TextIO) -> None:
    """Send to the null device what stream still holds.

    Python writes that at its end, and would fail again.
    """
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
