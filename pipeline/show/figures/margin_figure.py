"""The figure of the margins of single forgotten points: before unlearning, after it, and of oracles.

It shows what one value of KLoM means.
"""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pipeline.results.formatting import in_unit
from pipeline.results.report_content import (
    MethodRow,
    Role,
    SetContent,
    best_of,
    chosen_row,
    ranked_points,
)
from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import WIDTH, canvas, grey_range, key, legend, shorten, show, themed, write

_N_BINS = 26

_Sample = Float[np.ndarray, " _"]
_Edges = Float[np.ndarray, " n_edges"]


def margin_figure(content: SetContent) -> Figure | None:
    """Return a figure of margins for two forgotten points and up to three unlearners, as histograms.

    A histogram is over models. The points are the worst and the median one by the values of the first
    unlearner shown, which is that of `chosen_row`. The result is None without any unlearner.
    """
    rows = _shown(content)
    if not rows:
        return None
    order = ranked_points(content, rows[0])
    points = {"worst point": int(order[0])} | (
        {"median point": int(order[len(order) // 2])} if len(order) > 1 else {}
    )
    with themed():
        figure = canvas(WIDTH, 0.85 + 1.55 * len(points))
        height = figure.get_figheight()
        widths = [0.62, *[1.0] * len(rows)]
        grid = GridSpec(
            len(points),
            len(widths),
            figure,
            0.01,
            0.6 / height,
            0.995,
            1 - 0.3 / height,
            0.07,
            0.42,
            width_ratios=widths,
        )
        for line, (title, point) in enumerate(points.items()):
            _draw_point(figure.add_subplot(grid[line, 0]), content, title, point)
            edges = _edges(
                content.before[:, point],
                content.oracle[:, point],
                np.concatenate([row.margins[:, point] for row in rows]),
            )
            for column, row in enumerate(rows):
                ax = figure.add_subplot(grid[line, column + 1])
                _draw_histograms(
                    ax,
                    content.before[:, point],
                    row.margins[:, point],
                    content.oracle[:, point],
                    edges,
                    _colour(row),
                )
                ax.set_title(shorten(row.label, 30) if line == 0 else "", fontweight="bold")
                ax.set_title(
                    _point_title(content, row, point), loc="right", fontsize=8.5, color=COLOURS["muted"]
                )
                ax.set_xlabel("margin" if line == len(points) - 1 else "", fontsize=8.5)
        _legend(figure)
    return figure


def _point_title(content: SetContent, row: MethodRow, point: int) -> str:
    """Return the first judge's value of a point as text, empty if there is none."""
    value = float(row.points[point])
    return "" if np.isnan(value) else f"{content.points_title} {in_unit(value, content.main.unit)}"


def _shown(content: SetContent) -> list[MethodRow]:
    """Return up to three rows: the row of `chosen_row`, then the best rows of other roles.

    Doing nothing is not among these roles, because every panel shows the margins before unlearning.
    """
    bests = [best_of(content, role) for role in (Role.DATAMODEL, Role.RIVAL, Role.BOUND, Role.PREDICTOR)]
    chosen = chosen_row(content)
    others = [row for row in bests if row is not None and row is not chosen]
    return [] if chosen is None else [chosen, *others][:3]


def _draw_point(ax: Axes, content: SetContent, title: str, point: int) -> None:
    ax.set_axis_off()
    shown = content.forgotten[point]
    if shown.image is not None:
        show(ax.inset_axes((0.0, 0.0, 0.46, 1.0), anchor="NW"), shown, grey_range(content.forgotten))
    about = f"{title}\nid {shown.id}\nlabel {shown.label}"
    write(ax, 0 if shown.image is None else 0.52, 1, about, linespacing=1.5)


def _draw_histograms(
    ax: Axes, before: _Sample, after: _Sample, oracle: _Sample, edges: _Edges, colour: str
) -> None:
    """Draw the histograms of one point.

    Values of after outside the bins are counted in words, because bins for outliers would squeeze all others.
    """
    ax.stairs(_shares(oracle, edges), edges, fill=True, color=COLOURS["oracle"], alpha=0.38)
    ax.stairs(_shares(before, edges), edges, color=COLOURS["quiet"], linewidth=1.1, linestyle=(0, (3, 2)))
    ax.stairs(_shares(after, edges), edges, color=COLOURS[colour], linewidth=1.7)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.spines["left"].set_visible(False)
    ax.tick_params(labelsize=8)
    finite = after[np.isfinite(after)]
    notes = [
        (0.0, "left", int(np.sum(finite < edges[0])), "← {} further down"),
        (0.5, "center", len(after) - len(finite), "{} not finite"),
        (1.0, "right", int(np.sum(finite > edges[-1])), "{} further up →"),
    ]
    for x, side, count, words in notes:
        if count:
            write(ax, x, 0.92, words.format(count), ha=side, fontsize=8, color=COLOURS[colour])


def _edges(before: _Sample, oracle: _Sample, after: _Sample) -> _Edges:
    """Return the edges of bins that hold all finite values of before and oracle, and values of after nearby.

    Nearby means at most r outside the range of before and oracle, where r is the width of this range or 1, if
    that is more.
    """
    fixed = np.concatenate([before, oracle])
    fixed = fixed[np.isfinite(fixed)]
    low, high = (float(fixed.min()), float(fixed.max())) if len(fixed) else (-1.0, 1.0)
    reach = max(high - low, 1.0)
    near = after[(after >= low - reach) & (after <= high + reach)]
    low, high = min([low, *near]), max([high, *near])
    room = max(0.06 * (high - low), 0.5)
    return np.linspace(low - room, high + room, _N_BINS + 1)


def _shares(sample: _Sample, edges: _Edges) -> Float[np.ndarray, " n_bins"]:
    counts: Float[np.ndarray, " n_bins"] = np.histogram(sample[np.isfinite(sample)], edges)[0] / max(
        len(sample), 1
    )
    return counts


def _colour(row: MethodRow) -> str:
    return "rival" if row.role == Role.RIVAL else "ink" if row.role == Role.BOUND else "accent"


def _legend(figure: Figure) -> None:
    handles = [
        key("before unlearning", "quiet", linewidth=1.1, linestyle=(0, (3, 2))),
        key("after unlearning (solid line)", "accent", linestyle="-", linewidth=1.7),
        Patch(color=COLOURS["oracle"], alpha=0.38, label="retrained without the set (oracles)"),
    ]
    legend(figure, handles, loc="lower left", ncols=3, borderaxespad=0.4)
