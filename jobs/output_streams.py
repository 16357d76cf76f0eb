"""Standard streams that survive a failed write.

A closed terminal, a full disk or `| head` stops the output, not the computation.
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
    """A wrapper of a text stream that drops all output after the first failed write.

    `error` holds the error of that write, or None. All other attributes are those of the stream.
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
        """Write buffered text."""
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
    """Replace standard output and standard error by SteadyStreams while entered.

    A character that the encoding of a stream lacks is written as a backslash escape and causes no error.
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
        # Python sets a stream to None if it was closed when Python started.
        return SteadyStream(os.fdopen(number, "w", closefd=False), OSError(errno.EBADF, "it is closed"))
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return SteadyStream(stream)


def _occupy_closed() -> None:
    """Open the null device in place of each closed standard stream.

    Otherwise the next file that is opened gets the descriptor number of the stream, and with it its output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def failure(stream: object) -> OSError | None:
    """Return the error that stopped a standard stream, None if it still takes output."""
    return stream.error if isinstance(stream, SteadyStream) else None


def _discard(stream: TextIO) -> None:
    """Send the unwritten buffer of stream to the null device.

    Python writes the buffer at exit, which would fail again.
    """
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
