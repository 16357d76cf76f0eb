"""Places labels beside their points so that no label covers another.

Input and output are boxes in pixels; nothing is drawn.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_GAP = 4.0
# To avoid covering one box of a line, a label moves away from its point by at most this many of its heights.
COVERED = 1.0


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Box") -> bool:
        """Return whether the two boxes share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def is_within(self, other: "Box") -> bool:
        """Return whether the box lies completely in other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    obstacles: Sequence[Box],
    frame: Box,
    *,
    lines: Sequence[Box] = (),
) -> list[Box]:
    """Return one box for each label, near its point and inside frame, free of obstacles and other labels.

    sizes holds (width, height) of each label. Labels are placed from the top down, each right or left of its
    point, or above or below it. lines holds small boxes along drawn lines; a label moves a short way to avoid
    covering them. A label that finds no free place is right of its point.
    """
    placed: dict[int, Box] = {}
    for index in sorted(range(len(points)), key=lambda i: (-points[i][1], points[i][0])):
        taken = [*obstacles, *placed.values()]
        placed[index] = _nearest(list(_choices(points[index], sizes[index], frame)), taken, lines, frame)
    return [placed[index] for index in range(len(points))]


def _nearest(
    choices: Sequence[tuple[float, Box]], taken: Sequence[Box], lines: Sequence[Box], frame: Box
) -> Box:
    """Return the cheapest choice that is inside frame and free of taken, or the first choice if none is.

    choices are (rows away, box). A choice costs its rows away, plus COVERED for each box of a line that it
    covers.
    """
    _, found = choices[0]
    least = math.inf
    for n_rows, box in choices:
        if n_rows >= least:
            break
        if not box.is_within(frame) or any(box.overlaps(other) for other in taken):
            continue
        cost = n_rows + COVERED * sum(box.overlaps(line) for line in lines)
        if cost < least:
            least, found = cost, box
    return found


def _choices(
    point: tuple[float, float], size: tuple[float, float], frame: Box
) -> Iterator[tuple[float, Box]]:
    """Yield (rows away, box) for the places of a label, by growing distance from its point.

    A row is the height of the label. The first places are right and left of the point. The next are moved up
    or down by half a row each, and from 1.5 rows on there is also a place straight above or below the point.
    """
    (x, y), (width, height) = point, size
    n_rows = int((frame.top - frame.bottom) / height) + 1
    for row in sorted(
        (step / 2 for step in range(-2 * n_rows, 2 * n_rows + 1)), key=lambda row: (abs(row), -row)
    ):
        for left in (x + 2 * _GAP, x - 2 * _GAP - width, x - width / 2):
            bottom = y + row * height - height / 2
            if left == x - width / 2 and abs(row) < 1.5:
                continue
            yield abs(row), Box(left, bottom, left + width, bottom + height)
