"""The pace of a growing count, in units a second."""

from collections import deque

PACE_SECONDS = 30.0


class Pace:
    """Units a second, averaged over about the last `seconds`."""

    def __init__(self, seconds: float = PACE_SECONDS) -> None:
        self._seconds = seconds
        self._marks: deque[tuple[float, float | int]] = deque()

    def update(self, now: float, count: float | int) -> float:
        """Record that the count is `count` at time now, and return the pace in units a second.

        The pace is 0 while it is not known. now is in seconds of any clock.
        """
        if not self._marks or self._marks[-1][1] != count:
            self._marks.append((now, count))
        while len(self._marks) > 2 and now - self._marks[0][0] > self._seconds:
            self._marks.popleft()
        (first, before), (last, after) = self._marks[0], self._marks[-1]
        # The pace does not fall between two changes of the count. It falls if the last change is longer ago
        # than the time between the first and the last recorded change.
        seconds = max(last - first, now - last)
        return (after - before) / seconds if seconds > 0 else 0.0

    @staticmethod
    def seconds_left(left: float | int, pace: float) -> float | None:
        """Return the seconds that the remaining units take at this pace, None while no pace is known."""
        return left / pace if pace > 0 else None
