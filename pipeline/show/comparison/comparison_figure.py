"""The figure that shows experiments side by side, with one panel for each forget set.

A panel has a row for each method, a mark for each experiment, and a line at the floor of each experiment.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.evaluation.judges.scores import Scores
from pipeline.results.comparison_content import ComparedSet, Comparison, Entry
from pipeline.results.formatting import in_unit, unit_suffix
from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import COLUMNS, WIDTH, head, key, legend, panels, shorten, themed

# The height in inches that each experiment takes in the row of a method.
_ROW = 0.27
# Shape and dashes distinguish experiments as well as colour does, for print and for colour-blind readers.
Dashes = tuple[int, tuple[int, ...]]
_MARKS: tuple[tuple[str, str, Dashes], ...] = (
    ("o", "accent", (0, ())),
    ("s", "rival", (0, (4, 2))),
    ("^", "oracle", (0, (1, 2))),
    ("D", "flipped", (0, (6, 2, 1, 2))),
    ("v", "muted", (0, (2, 3))),
)
# On a logarithmic axis, scores above this one are written at the left of their marks, where there is space.
ROOMY = 4.0
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def comparison_figure(comparison: Comparison) -> Figure:
    """Return a figure with the headline score of every method in every experiment, and its interval.

    The axis is logarithmic if distances from retraining are multiples of the floor and there is a worst
    score.
    """
    sets, n_experiments = comparison.sets, len(comparison.names)
    labels = list(dict.fromkeys(method.label for one in sets for method in one.methods))
    axis = _Axis(comparison)
    with themed():
        figure, axes = panels(
            len(sets),
            height=_ROW * max(n_experiments, 1.5) * len(labels) + 0.2,
            left=1.55 / WIDTH,
            right=0.99,
            top=0.35,
            between=0.75,
            bottom=0.85,
            wide=0.07,
        )
        for number, (ax, one) in enumerate(zip(axes, sets, strict=True)):
            _draw_frame(ax, one, labels, axis)
            ax.set_yticks(
                range(len(labels)),
                [shorten(label, 22) if number % COLUMNS == 0 else "" for label in labels],
            )
            for place in range(n_experiments):
                _draw_experiment(ax, one, labels, place, n_experiments, axis)
        _legend(figure, comparison.names)
    return figure


def mark(place: int) -> tuple[str, str, Dashes]:
    """Return the shape, colour and dashes of an experiment; they repeat from the sixth on."""
    return _MARKS[place % len(_MARKS)]


class _Axis:
    """The horizontal axis, from low to high, which all panels share.

    A logarithmic axis begins below the lowest mark or floor, but not below 0.01, and ends at the worst score.
    A linear axis holds all marks, intervals and floors.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._content, self.unit = comparison, comparison.floor.unit
        worst = comparison.judge.yardstick.worst
        scores = [
            entry.main
            for one in comparison.sets
            for method in one.methods
            for entry in method.entries
            if entry
        ]
        values = [score.value for score in scores if math.isfinite(score.value)] + [
            _floor(floor) for one in comparison.sets for floor in one.floor
        ]
        self.is_log = comparison.counts_floors and worst is not None
        if self.is_log and worst is not None:
            # Intervals may be cut here, because near 0 they would take all the space of a logarithmic axis.
            self.low, self.high = (
                max(min((value for value in values if value > 0), default=0.1) / 2, TICKS[0]),
                worst,
            )
        else:
            ends = [*values, *(end for score in scores for end in score.interval or ())]
            self.low, self.high = min(ends), max(ends)
            self.high += 0.0 if self.high > self.low else 1.0

    def prepare(self, ax: Axes) -> None:
        """Set scale, range, ticks and label of the axis of a panel."""
        room = 0.08 * (self.high - self.low)
        ax.set_xlabel(f"{self._content.title}, {self._content.floor.split}{unit_suffix(self.unit)}")
        if not self.is_log:
            ax.set_xlim(self.low - room, self.high + room)
            return
        ax.set_xscale("log")
        ax.set_xlim(self.low, 1.13 * self.high)
        ticks = [tick for tick in TICKS if self.low <= tick <= self.high]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.axvline(self.high, color=COLOURS["quiet"], linewidth=0.8)

    def within(self, value: float) -> float:
        """Return the position of a value, cut to the range of the axis.

        A value that is not a number lies at the worse end, where it does not look good.
        """
        if math.isnan(value):
            return self.low if self._content.floor.better == "higher" else self.high
        return float(np.clip(value, self.low, self.high))

    def is_far(self, x: float) -> bool:
        """Return whether a mark at x has more space at its left than at its right."""
        middle = math.sqrt(self.low * self.high) if self.is_log else (self.low + self.high) / 2
        return x > (ROOMY if self.is_log else middle)


def _floor(scores: Mapping[str, Scores]) -> float:
    """Return the first judge's score of retraining."""
    return next(iter(scores.values())).rows[0].of_retraining


def _draw_frame(ax: Axes, one: ComparedSet, labels: Sequence[str], axis: _Axis) -> None:
    head(ax, one.label)
    axis.prepare(ax)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", labelsize=9, labelcolor=COLOURS["ink"])
    ax.grid(axis="x")
    for row in range(0, len(labels), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=COLOURS["quiet"], alpha=0.08, linewidth=0)


def _draw_experiment(
    ax: Axes, one: ComparedSet, labels: Sequence[str], place: int, n_experiments: int, axis: _Axis
) -> None:
    shape, colour, dashes = mark(place)
    ax.axvline(
        max(_floor(one.floor[place]), axis.low),
        color=COLOURS[colour],
        linestyle=dashes,
        linewidth=1.3,
        alpha=0.75,
        zorder=2,
    )
    offset = (place - (n_experiments - 1) / 2) * 0.72 / n_experiments
    for method in one.methods:
        entry = method.entries[place]
        if entry is not None:
            _draw_entry(ax, entry, labels.index(method.label) + offset, shape, COLOURS[colour], axis)


def _draw_entry(ax: Axes, entry: Entry, y: float, shape: str, colour: str, axis: _Axis) -> None:
    """Draw a mark with its interval and value."""
    score = entry.main
    x = axis.within(score.value)
    low, high = (max(end, axis.low) for end in score.interval or (x, x))
    ax.plot([low, high], [y, y], color=colour, linewidth=1.6, alpha=0.45, solid_capstyle="round", zorder=3)
    ax.plot([x], [y], shape, markersize=6, markerfacecolor=colour, markeredgecolor=COLOURS["paper"], zorder=4)
    # The value stands on the side of the mark with more space.
    (at, away, side) = (min(x, low), -6, "right") if axis.is_far(x) else (max(x, high), 6, "left")
    ax.annotate(
        in_unit(score.value, score.unit),
        (at, y),
        (away, 0),
        textcoords="offset points",
        va="center",
        ha=side,
        fontsize=7.5,
        color=colour,
    )


def _legend(figure: Figure, names: Sequence[str]) -> None:
    handles = []
    for place, name in enumerate(names):
        shape, colour, dashes = mark(place)
        label = f"{shorten(name, 24)}: methods, and its floor as a line"
        handles.append(key(label, colour, linestyle=dashes, linewidth=1.3, marker=shape, markersize=6))
    n_columns = min(len(handles), 3)
    legend(figure, handles, loc="lower center", ncols=n_columns, handlelength=3.2, columnspacing=2)
