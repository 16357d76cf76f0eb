"""The figure of the margins that a datamodel predicts for the removal of a forget set.

Each point shows its margin before the removal, as predicted after it, and after retraining if that is known.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.results.attribution_content import ChangeContent, ForecastContent
from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import (
    WIDTH,
    canvas,
    grey_range,
    key,
    legend,
    sheet,
    shorten,
    show_on_sheet,
    themed,
    write,
)

# At most this many points of the forget set are shown, and at most this many other points.
_MOST = 16
# In inches: the height of a row, and the space above and below the rows.
_ROW, _TOP, _BOTTOM = 0.3, 0.36, 0.82


def forecast_figure(content: ForecastContent) -> Figure:
    """Return a figure with two panels of the points that change most: forgotten points and others.

    Each point has a line from its margin before to the predicted one, with a bar of two standard errors if
    these are known.
    """
    panels = {"forgotten points": content.forget[:_MOST], "others that change most": content.others[:_MOST]}
    panels = {title: changes for title, changes in panels.items() if changes}
    height = _TOP + _BOTTOM + _ROW * max((len(changes) for changes in panels.values()), default=1)
    has_error = any(np.isfinite(change.standard_error) for changes in panels.values() for change in changes)
    has_actual = any(change.actual is not None for changes in panels.values() for change in changes)
    grey = grey_range([change.point for changes in panels.values() for change in changes])
    with themed():
        figure = canvas(WIDTH, height)
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
    """Draw the rows of a panel, which begins left inches from the left edge of the figure.

    Images and names are drawn into the sheet page, and margins into axes of the panel.
    """
    height = figure.get_figheight()
    size, has_images = 0.92 * _ROW, any(change.point.image is not None for change in changes)
    names = left + (size + 0.066 if has_images else 0.0)
    bottom = height - _TOP - _ROW * len(changes)
    ax = figure.add_axes(((left + 1.848) / WIDTH, bottom / height, 0.31, _ROW * len(changes) / height))
    for row, change in enumerate(changes):
        middle = height - _TOP - _ROW * (row + 0.5)
        show_on_sheet(page, change.point, grey, left=left, top=middle + size / 2, size=size)
        split = "" if change.point.split == "training" else f"{change.point.split} "
        name = f"{split}#{change.point.id}, label {shorten(change.point.label, 12)}"
        look: dict[str, Any] = {"color": COLOURS["flipped" if change.point.is_flipped else "muted"]}
        write(page, names, middle, name, va="center", fontsize=7.5, transform=page.transData, **look)
        _draw_change(ax, row, change)
    ax.set_ylim(len(changes) - 0.5, -0.5)
    ax.set_yticks([])
    ax.axvline(0, color=COLOURS["quiet"], linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    ax.margins(x=0.06)
    ax.grid(axis="x")
    ax.tick_params(labelsize=8)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("mean margin (nats); at 0 the label has even odds", fontsize=8.5)


def _draw_change(ax: Axes, row: int, change: ChangeContent) -> None:
    """Draw the line of one point; values that are not finite are left out."""
    if not np.isfinite([change.before, change.after]).all():
        return
    reach = 2 * change.standard_error
    ax.plot([change.before, change.after], [row, row], color=COLOURS["quiet"], linewidth=0.9, zorder=1)
    if np.isfinite(reach):
        ends = [change.after - reach, change.after + reach]
        bar: dict[str, Any] = {"linewidth": 5, "alpha": 0.28, "solid_capstyle": "butt"}
        ax.plot(ends, [row, row], color=COLOURS["accent"], **bar, zorder=2)
    marks: tuple[tuple[float | None, str, str, str, dict[str, Any]], ...] = (
        (change.before, "o", "paper", "quiet", {"markersize": 5}),
        (change.after, "o", "accent", "accent", {"markersize": 5.5}),
        (change.actual, "D", "oracle", "paper", {"markersize": 4.6, "markeredgewidth": 0.7}),
    )
    for zorder, (value, shape, face, edge, look) in enumerate(marks, 3):
        if value is not None and np.isfinite(value):
            look |= {"markerfacecolor": COLOURS[face], "markeredgecolor": COLOURS[edge]}
            ax.plot([value], [row], shape, zorder=zorder, **look)


def _legend(figure: Figure, *, has_actual: bool, has_error: bool) -> None:
    handles = [
        key("before", "quiet", marker="o", markersize=5, markerfacecolor="none"),
        key("predicted, before anything was unlearned", "accent", marker="o", markersize=5.5),
    ]
    if has_error:
        handles.append(key("two standard errors", "accent", linestyle="-", linewidth=5, alpha=0.28))
    if has_actual:
        handles.append(key("really retrained without the set", "oracle", marker="D", markersize=4.6))
    legend(figure, handles, loc="lower left", ncols=4, borderaxespad=0.4)
