"""Lines through the snapshots of each method, for the figure of score against cost."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipeline.show.colours import COLOURS
from pipeline.show.figures.placement import Box
from pipeline.show.figures.theme import key

# Methods of one role share a colour; their lines differ by dashes.
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.6, 1.2, 1.6)))
# The least distance in pixels between two marks. A small mark that is nearer to another one is left out.
APART = 9.0
# Labels avoid small boxes along each line. STRIDE is the distance between the centres of two boxes, and HALF
# is half the side of a box, in pixels.
STRIDE, HALF = 8.0, 2.5
_Place = tuple[float, float]


class SnapshotCurve(NamedTuple):
    """The places (x, y) of the snapshots of one method, in order, and the look of the line through them.

    start is the place of the models before unlearning, None if it is unknown. number counts the curves of the
    same colour before this one; it determines the dashes.
    """

    places: Sequence[_Place]
    start: _Place | None
    colour: str
    shape: str
    number: int

    @property
    def dashes(self) -> Any:
        """The dashes of the line."""
        return DASHES[self.number % len(DASHES)]


def draw_curve(ax: Axes, curve: SnapshotCurve) -> None:
    """Draw a line with small marks through the snapshots, and a fainter line from start to the first one."""
    x, y = np.array(curve.places).T
    colour = COLOURS[curve.colour]
    if curve.start is not None:
        way: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.4, "linestyle": (0, (1, 2))}
        ax.plot([curve.start[0], x[0]], [curve.start[1], y[0]], color=colour, zorder=2, **way)
    ax.plot(x, y, color=colour, linewidth=1.3, alpha=0.85, linestyle=curve.dashes, zorder=3)
    marked = _marked(ax.transData.transform(curve.places))
    ax.plot(x[marked], y[marked], curve.shape, color=colour, markersize=3.2, markeredgewidth=0, zorder=3)


def _marked(pixels: np.ndarray) -> list[int]:
    """Return the numbers of the snapshots that get a small mark; pixels holds the position of each snapshot.

    The last snapshot gets none, because the method's large mark is there. Snapshots too close to another mark
    get none either.
    """
    kept: list[int] = []
    for number, place in enumerate(pixels[:-1]):
        neighbours = [*(pixels[other] for other in kept), pixels[-1]]
        if all(np.hypot(*(place - other)) >= APART for other in neighbours):
            kept.append(number)
    return kept


def boxes_along(ax: Axes, places: Sequence[_Place]) -> list[Box]:
    """Return small boxes in pixels along the line through places, for labels to avoid."""
    boxes = []
    for (x0, y0), (x1, y1) in itertools.pairwise(ax.transData.transform(places)):
        n_steps = max(1, int(np.hypot(x1 - x0, y1 - y0) / STRIDE))
        for share in np.linspace(0, 1, n_steps, endpoint=False):
            x, y = float(x0 + share * (x1 - x0)), float(y0 + share * (y1 - y0))
            boxes.append(Box(x - HALF, y - HALF, x + HALF, y + HALF))
    return boxes


def legend_handle() -> Line2D:
    """Return the entry of the legend for lines through snapshots."""
    return key(" snapshots along the way", "muted", linestyle="-", linewidth=1.3, marker=".", markersize=6)
