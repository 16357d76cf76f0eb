"""Experiments side by side: a row for each method, a mark for each experiment, the floor of each as a line; one panel for each forget set."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.reporting.comparison_content import ComparedSet, Comparison, Entry
from pipeline.reporting.cost_figure import CEILING
from pipeline.reporting.formatting import nats
from pipeline.reporting.theme import COLOURS, canvas, shorten, themed

COLUMNS = 3
# Inches: of a row of marks, above, between and below the panels, and left of them for the labels of methods.
ROW, TOP, BETWEEN, BOTTOM, LEFT = 0.27, 0.35, 0.75, 0.85, 1.55
WIDTH = 11.0
# Shape and dashes tell experiments apart as well as colour does, for print and for colour-blind readers.
Dashes = tuple[int, tuple[int, ...]]
MARKS: tuple[tuple[str, str, Dashes], ...] = (
    ("o", "accent", (0, ())),
    ("s", "rival", (0, (4, 2))),
    ("^", "oracle", (0, (1, 2))),
    ("D", "flipped", (0, (6, 2, 1, 2))),
    ("v", "muted", (0, (2, 3))),
)
# From this KLoM on, figures are written at the left of their marks.
ROOMY = 4.0
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def comparison_figure(comparison: Comparison) -> Figure:
    """Return the P95 KLoM on forgotten points of every method in every experiment, with intervals, on a logarithmic axis."""
    sets, n_experiments = comparison.sets, len(comparison.names)
    labels = list(dict.fromkeys(method.label for one in sets for method in one.methods))
    n_columns = min(len(sets), COLUMNS)
    n_lines = -(-len(sets) // n_columns)
    panel = ROW * max(n_experiments, 1.5) * len(labels) + 0.2
    height = n_lines * panel + (n_lines - 1) * BETWEEN + TOP + BOTTOM
    lowest = _lowest(sets)
    with themed():
        figure = canvas(WIDTH, height)
        figure.subplots_adjust(LEFT / WIDTH, BOTTOM / height, 0.99, 1 - TOP / height, 0.07, BETWEEN / panel)
        for number, one in enumerate(sets):
            ax = figure.add_subplot(n_lines, n_columns, number + 1)
            _draw_frame(ax, one, labels, lowest)
            ax.set_yticks(range(len(labels)), [shorten(label, 22) for label in labels] if number % n_columns == 0 else [""] * len(labels))
            for place in range(n_experiments):
                _draw_experiment(ax, one, labels, place, n_experiments, lowest)
        _legend(figure, comparison.names)
    return figure


def mark(place: int) -> tuple[str, str, Dashes]:
    """Return the shape, colour and dashes of an experiment; from the sixth on they come again."""
    return MARKS[place % len(MARKS)]


def _lowest(sets: Sequence[ComparedSet]) -> float:
    """Return where the axis begins: below every mark and floor above 0. Intervals may be cut there, since near 0 a logarithm would give them all the room."""
    values = [entry.p95 for one in sets for method in one.methods for entry in method.entries if entry] + [value for one in sets for value in one.floor]
    return max(min((value for value in values if value > 0), default=0.1) / 2, TICKS[0])


def _draw_frame(ax: Axes, one: ComparedSet, labels: Sequence[str], lowest: float) -> None:
    ax.set_title(shorten(one.label, 36), loc="left", fontsize=10.5, fontweight="bold")
    ax.set_xscale("log")
    ax.set_xlim(lowest, 13)
    ticks = [tick for tick in TICKS if tick >= lowest]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", labelsize=9, labelcolor=COLOURS["ink"])
    ax.grid(axis="x", color=COLOURS["line"], linewidth=0.6, alpha=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel("P95 KLoM on forgotten points (nats)")
    for row in range(0, len(labels), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=COLOURS["quiet"], alpha=0.08, linewidth=0)
    ax.axvline(CEILING, color=COLOURS["quiet"], linewidth=0.8)


def _draw_experiment(ax: Axes, one: ComparedSet, labels: Sequence[str], place: int, n_experiments: int, lowest: float) -> None:
    shape, colour, dashes = mark(place)
    ax.axvline(max(one.floor[place], lowest), color=COLOURS[colour], linestyle=dashes, linewidth=1.3, alpha=0.75, zorder=2)
    offset = (place - (n_experiments - 1) / 2) * 0.72 / n_experiments
    for method in one.methods:
        entry = method.entries[place]
        if entry is not None:
            _draw_entry(ax, entry, labels.index(method.label) + offset, shape, COLOURS[colour], lowest)


def _draw_entry(ax: Axes, entry: Entry, y: float, shape: str, colour: str, lowest: float) -> None:
    """Draw a mark with its interval and value; what is no number lies at the ceiling, never where it would look good."""
    x = CEILING if math.isnan(entry.p95) else float(np.clip(entry.p95, lowest, CEILING))
    low, high = (max(end, lowest) for end in entry.interval)
    ax.plot([low, high], [y, y], color=colour, linewidth=1.6, alpha=0.45, solid_capstyle="round", zorder=3)
    ax.plot([x], [y], shape, markersize=6, markerfacecolor=colour, markeredgecolor=COLOURS["paper"], zorder=4)
    # Beside the mark on whichever side there is room.
    (at, away, side) = (min(x, low), -6, "right") if x > ROOMY else (max(x, high), 6, "left")
    ax.annotate(nats(entry.p95), (at, y), (away, 0), textcoords="offset points", va="center", ha=side, fontsize=7.5, color=colour)


def _legend(figure: Figure, names: Sequence[str]) -> None:
    handles = []
    for place, name in enumerate(names):
        shape, colour, dashes = mark(place)
        label, shown = f"{shorten(name, 24)}: methods, and its floor as a line", COLOURS[colour]
        handles.append(Line2D([], [], label=label, color=shown, linestyle=dashes, linewidth=1.3, marker=shape, markersize=6))
    n_columns = min(len(handles), 3)
    figure.legend(handles=handles, loc="lower center", ncols=n_columns, fontsize=8.5, handlelength=3.2, columnspacing=2, labelcolor=COLOURS["muted"])
