"""The axis of a score in a figure: its range, its scale, the score of retraining, and the worst value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.evaluation.judges.scores import Better, Score, Yardstick
from pipeline.results.formatting import in_unit, unit_suffix
from pipeline.results.report_content import SetContent
from pipeline.show.colours import COLOURS

# If lower scores are better, values near 0 matter most. Positions on the axis then grow with the square root
# of the value, and these are its ticks.
ROOT_TICKS = (0, 0.5, 1, 2, 4, 6, 8, 10)
# The ticks of such an axis if no value is above 1.
SMALL_TICKS = (0, 0.1, 0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class ScoreAxis:
    """The vertical axis for scores from low to top, in a unit.

    If lower scores are better and there is a worst score, low is 0 and top is the worst score.
    """

    label: str
    unit: str
    better: Better
    yardstick: Yardstick
    low: float
    top: float

    @classmethod
    def of(cls, sets: Sequence[SetContent]) -> "ScoreAxis":
        """Return an axis for the headline scores of all rows, snapshots and floors of some forget sets."""
        first = sets[0]
        scores = [content.main_of(row) for content in sets for row in content.judged] + [
            content.main for content in sets
        ]
        scores += [score for content in sets for row in content.judged for _, score in content.curve_of(row)]
        yardstick, better, unit = first.judge.yardstick, first.main.better, first.main.unit
        low, top = _range(scores)
        if better == "lower" and yardstick.worst is not None:
            low, top = 0.0, yardstick.worst
        return cls(
            label=f"{first.title} on {first.place}{unit_suffix(unit)}",
            unit=unit,
            better=better,
            yardstick=yardstick,
            low=low,
            top=top,
        )

    @property
    def _is_rooted(self) -> bool:
        return self.better == "lower" and self.low == 0.0

    @property
    def _ends(self) -> tuple[float, float]:
        """The ends of the axis, with some space beyond the scores."""
        room = 0.13 * (self.top - self.low)
        return self.low if self._is_rooted else self.low - room, self.top + room

    def prepare(self, ax: Axes) -> None:
        """Set range, scale and ticks of the vertical axis of a panel."""
        if self._is_rooted:
            prepare_root_axis(ax, self.top, self._ends[1])
            return
        ax.set_ylim(*self._ends)
        ticks = ax.get_yticks()
        ax.set_yticks(list(ticks), [in_unit(float(tick), self.unit) for tick in ticks])
        ax.set_ylim(*self._ends)

    def band(self, content: SetContent) -> tuple[float, float]:
        """Return the range of scores that are as good as retraining, or better."""
        reference, tolerance = content.reference, self.yardstick.tolerance(content.main)
        low, top = self._ends
        if self.better == "lower":
            return low, reference
        return reference - tolerance, reference + tolerance if self.better == "nearer" else top

    def draw_worst(self, ax: Axes) -> None:
        """Draw a line at the worst value, if the axis reaches it."""
        worst = self.yardstick.worst
        if worst is None or not self._is_rooted:
            return
        ax.axhline(worst, color=COLOURS["quiet"], linewidth=0.9, linestyle=(0, (4, 3)))
        place: dict[str, Any] = {
            "transform": ax.get_yaxis_transform(),
            "ha": "right",
            "fontsize": 8,
            "color": COLOURS["muted"],
        }
        ax.text(1, worst + 0.026 * worst, f"ceiling {self.text(worst)}", **place)

    def within(self, value: float) -> float:
        """Return a value cut to the range from low to top; one that is not a number lies at the worst end."""
        if math.isnan(value):
            return self.low if self.better == "higher" else self.top
        return min(max(value, self.low), self.top)

    def text(self, value: float) -> str:
        """Return a value as text, in the unit of the axis."""
        return in_unit(value, self.unit)


def prepare_root_axis(ax: Axes, top: float, end: float) -> None:
    """Set up the vertical axis from 0 to end, where positions grow with the square root of the value.

    top is the largest value; ticks lie below it.
    """
    ax.set_yscale("function", functions=(np.sqrt, np.square))
    ticks = [tick for tick in (ROOT_TICKS if top > 1 else SMALL_TICKS) if tick < top]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_ylim(0, end)


def _range(scores: Sequence[Score]) -> tuple[float, float]:
    """Return the lowest and the highest of all values, interval ends and references.

    If the two are equal, the range is widened by 0.5 on each side.
    """
    ends = [end for score in scores for end in (score.value, *(score.interval or ())) if math.isfinite(end)]
    ends += [score.reference for score in scores if score.reference is not None]
    low, top = min(ends, default=0.0), max(ends, default=1.0)
    return (low, top) if top > low else (low - 0.5, top + 0.5)
