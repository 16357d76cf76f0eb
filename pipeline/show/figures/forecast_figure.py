"""The predicted effect of removing a forget set on margins.

Each point shows its margin before the removal, as predicted after it, and after retraining if that is known.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.results.attribution_content import ChangeContent, ForecastContent
from pipeline.show.figures.influence_figure import grey_range
from pipeline.show.figures.theme import COLOURS, canvas, draw_image, sheet, shorten, themed

# Points shown at most: of the forget set, and of all others.
_MOST = 16
# Inches: the figure's width, the height of a row, and the room above and below the rows.
_WIDTH, _ROW, _TOP, _BOTTOM = 11.0, 0.3, 0.36, 0.82
_BEFORE: dict[str, Any] = {
    "marker": "o",
    "markersize": 5,
    "markerfacecolor": COLOURS["paper"],
    "markeredgecolor": COLOURS["quiet"],
    "zorder": 3,
}
_AFTER: dict[str, Any] = {"marker": "o", "markersize": 5.5, "color": COLOURS["accent"], "zorder": 4}
_ACTUAL: dict[str, Any] = {
    "marker": "D",
    "markersize": 4.6,
    "markerfacecolor": COLOURS["oracle"],
    "markeredgecolor": COLOURS["paper"],
    "markeredgewidth": 0.7,
    "zorder": 5,
}


def forecast_figure(content: ForecastContent) -> Figure:
    """Return two panels of the points that change most: forgotten points and others.

    Each point is a line from before to after, with two standard errors if known.
    """
    panels = {"forgotten points": content.forget[:_MOST], "others that change most": content.others[:_MOST]}
    panels = {title: changes for title, changes in panels.items() if changes}
    height = _TOP + _BOTTOM + _ROW * max((len(changes) for changes in panels.values()), default=1)
    has_error = any(np.isfinite(change.standard_error) for changes in panels.values() for change in changes)
    has_actual = any(change.actual is not None for changes in panels.values() for change in changes)
    grey = grey_range([change.point for changes in panels.values() for change in changes])
    with themed():
        figure = canvas(_WIDTH, height)
        page = sheet(figure)
        for number, (title, changes) in enumerate(panels.items()):
            left = 0.13 + number * 5.555
            shown = (
                f"{title}: {len(changes)} of {content.splits['forget'].n_points:,}" if number == 0 else title
            )
            page.text(left, height - 0.08, shown, va="top", fontsize=9.5, fontweight="bold")
            _draw_panel(figure, page, changes, left, grey)
        _legend(figure, has_actual=has_actual, has_error=has_error)
    return figure


def _draw_panel(
    figure: Figure, page: Axes, changes: Sequence[ChangeContent], left: float, grey: tuple[float, float]
) -> None:
    """Draw the points of a panel, whose left edge is at left inches, into the sheet and axes of their own."""
    height = figure.get_figheight()
    size, has_images = 0.92 * _ROW, any(change.point.image is not None for change in changes)
    names = left + (size + 0.066 if has_images else 0.0)
    bottom = height - _TOP - _ROW * len(changes)
    ax = figure.add_axes(((left + 1.848) / _WIDTH, bottom / height, 0.31, _ROW * len(changes) / height))
    for row, change in enumerate(changes):
        middle = height - _TOP - _ROW * (row + 0.5)
        if change.point.image is not None:
            draw_image(page, change.point.image, grey, left=left, top=middle + size / 2, size=size)
        split = "" if change.point.split == "training" else f"{change.point.split} "
        colour = COLOURS["flipped" if change.point.is_flipped else "muted"]
        page.text(
            names,
            middle,
            f"{split}#{change.point.id}, label {shorten(change.point.label, 12)}",
            va="center",
            fontsize=7.5,
            color=colour,
        )
    _draw_changes(ax, changes)
    ax.set_ylim(len(changes) - 0.5, -0.5)
    ax.set_yticks([])
    ax.axvline(0, color=COLOURS["quiet"], linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    ax.margins(x=0.06)
    ax.grid(axis="x", color=COLOURS["line"], linewidth=0.6, alpha=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=8)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("mean margin (nats); at 0 the label has even odds", fontsize=8.5)


def _draw_changes(ax: Axes, changes: Sequence[ChangeContent]) -> None:
    """Draw the line of each point in a row of its own; values that are not finite are left out."""
    known = [
        (row, change)
        for row, change in enumerate(changes)
        if np.isfinite([change.before, change.after]).all()
    ]
    rows = np.array([row for row, _ in known])
    before = np.array([change.before for _, change in known])
    after = np.array([change.after for _, change in known])
    reach = 2 * np.array([change.standard_error for _, change in known])
    actual = np.array([np.nan if change.actual is None else change.actual for _, change in known])
    ax.hlines(rows, before, after, color=COLOURS["quiet"], linewidth=0.9, zorder=1)
    ax.hlines(rows, after - reach, after + reach, color=COLOURS["accent"], linewidth=5, alpha=0.28, zorder=2)
    for values, marker in ((before, _BEFORE), (after, _AFTER), (actual, _ACTUAL)):
        ax.plot(values, rows, linestyle="", **marker)


def _legend(figure: Figure, *, has_actual: bool, has_error: bool) -> None:
    handles = [
        Line2D([], [], linestyle="", label="before", **_BEFORE),
        Line2D([], [], linestyle="", label="predicted, before anything was unlearned", **_AFTER),
    ]
    if has_error:
        handles.append(
            Line2D([], [], color=COLOURS["accent"], linewidth=5, alpha=0.28, label="two standard errors")
        )
    if has_actual:
        handles.append(Line2D([], [], linestyle="", label="really retrained without the set", **_ACTUAL))
    figure.legend(
        handles=handles,
        loc="lower left",
        ncols=4,
        fontsize=8.5,
        labelcolor=COLOURS["muted"],
        borderaxespad=0.4,
    )
