"""The headline score against the cost of a request, with one panel for each forget set."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from pipeline.results.report_content import MethodRow, Role, SetContent
from pipeline.show.colours import COLOURS
from pipeline.show.figures.placement import Box, place
from pipeline.show.figures.score_axis import ScoreAxis
from pipeline.show.figures.snapshot_curves import SnapshotCurve, boxes_along, draw_curve, legend_handle
from pipeline.show.figures.theme import COLUMNS, head, key, legend, panels, shorten, themed

# A logarithmic axis has no place for a cost of 0, so there is a slot for it at the left. SLOT is the width of
# this slot as a share of the logarithmic part. If the axis has fewer decades than FEW, each has two ticks.
SLOT, FEW = 0.18, 2.2
# For each role the shape of the mark, its colour, whether it is filled, and the text of the legend. Shape and
# fill show the role as well as colour does, for print and for colour-blind readers.
MARKERS = {
    Role.DATAMODEL: ("o", "accent", True, "uses the datamodel"),
    Role.RIVAL: ("s", "rival", True, "needs no datamodel"),
    Role.NOTHING: ("X", "muted", True, "does nothing"),
    Role.PREDICTOR: ("o", "accent", False, "predictor, moves no weights"),
    Role.BOUND: ("^", "oracle", False, "bound, needs true oracles"),
}
RETRAIN = ("D", "oracle", True, "retraining, at the floor")


def cost_figure(sets: Sequence[SetContent]) -> Figure:
    """Return a figure of headline scores, with intervals, against the cost of a request in retrainings.

    Scores that are as good as retraining are a band, and the worst score is a line.
    """
    costs = [row.cost.fraction for content in sets for row in content.judged]
    costs += [cost for content in sets for row in content.judged for cost, _ in content.curve_of(row)]
    scale, values = _Scale(costs), ScoreAxis.of(sets)
    roles = {row.role for content in sets for row in content.judged}
    has_curves = any(_curves(content, scale, values) for content in sets)
    with themed():
        figure, axes = panels(
            len(sets),
            height=max(3.0, 0.21 * max(len(content.judged) for content in sets)),
            left=0.052,
            right=0.995,
            top=0.3,
            between=0.85,
            # Seven entries of the legend do not fit side by side.
            bottom=1.0 if len(roles) + has_curves > 5 else 0.8,
            wide=0.06,
        )
        for ax, content in zip(axes, sets, strict=True):
            _draw_panel(ax, content, scale, values)
            # The panels of a row share the vertical axis.
            is_first = axes.index(ax) % COLUMNS == 0
            ax.set_ylabel(values.label if is_first else "")
            ax.tick_params(labelleft=is_first)
            _label_points(ax, content, scale, values, 66 // min(len(sets), COLUMNS))
        _legend(figure, roles, has_curves=has_curves)
    return figure


class _Scale:
    """The cost axis: logarithmic from the lowest to the highest cost, with one slot at the left for 0."""

    def __init__(self, fractions: Sequence[float]) -> None:
        positive = [fraction for fraction in fractions if fraction > 0 and math.isfinite(fraction)]
        # At least one tick lies left of one retraining.
        self.first = min(-1.0, math.log10(min(positive, default=0.1)))
        self.last = max(0.0, math.log10(max(positive, default=1.0)))

    def position(self, fraction: float) -> float:
        """Return the position of a cost; one decade is one unit, and one retraining is at 0."""
        return math.log10(fraction) if fraction > 0 else self.first - SLOT * (self.last - self.first)

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the axis."""
        room = SLOT * (self.last - self.first)
        return self.position(0.0) - room / 2, self.last + room / 2

    def ticks(self) -> dict[float, str]:
        """Return the label of each tick by its position: 0, every decade, and the triple of each if few."""
        within = {
            decade + part
            for decade in range(math.floor(self.first), math.floor(self.last) + 1)
            for part in (0.0, math.log10(3))
        }
        shown = [
            tick
            for tick in sorted(within)
            if self.first - 0.1 <= tick <= self.last and (tick == int(tick) or self.last - self.first < FEW)
        ]
        return {self.position(0.0): "0"} | {tick: f"{100 * 10.0**tick:.6g}%" for tick in shown}


def _draw_panel(ax: Axes, content: SetContent, scale: _Scale, values: ScoreAxis) -> None:
    head(ax, content.label)
    ax.set_xlim(*scale.ends)
    values.prepare(ax)
    ax.set_xticks(list(scale.ticks()), list(scale.ticks().values()))
    ax.grid(axis="y")
    ax.set_xlabel("cost of a request, of one retraining")
    ax.axhspan(*values.band(content), color=COLOURS["oracle"], alpha=0.16, linewidth=0)
    values.draw_worst(ax)
    for curve in _curves(content, scale, values):
        draw_curve(ax, curve)
    for row in sorted(content.judged, key=lambda row: list(MARKERS).index(row.role), reverse=True):
        shape, colour, filled, _ = MARKERS[row.role]
        x, y = _position(row, content, scale, values)
        ax.plot(
            [x, x],
            content.main_of(row).interval or (y, y),
            color=COLOURS[colour],
            linewidth=1.4,
            alpha=0.45,
            solid_capstyle="round",
        )
        _mark(ax, x, y, shape, colour, filled=filled)
    _mark(ax, 0.0, content.reference, RETRAIN[0], RETRAIN[1], filled=True)


def _position(row: MethodRow, content: SetContent, scale: _Scale, values: ScoreAxis) -> tuple[float, float]:
    """Return the position (x, y) of a row; a score that is not a number lies at the worst end."""
    return scale.position(row.cost.fraction), values.within(content.main_of(row).value)


def _curves(content: SetContent, scale: _Scale, values: ScoreAxis) -> list[SnapshotCurve]:
    """Return the curve of each row with more than one snapshot.

    Curves of one colour are numbered, so that their dashes differ.
    """
    unmoved = (row for row in content.judged if row.role == Role.NOTHING)
    start = next((_position(row, content, scale, values) for row in unmoved), None)
    curves: list[SnapshotCurve] = []
    for row in content.judged:
        places = [(scale.position(cost), values.within(score.value)) for cost, score in content.curve_of(row)]
        if len(places) > 1:
            shape, colour, _, _ = MARKERS[row.role]
            number = sum(curve.colour == colour for curve in curves)
            curves.append(SnapshotCurve(places, start, colour, shape, number))
    return curves


def _mark(ax: Axes, x: float, y: float, shape: str, colour: str, *, filled: bool) -> None:
    face = COLOURS[colour] if filled else COLOURS["paper"]
    ax.plot(
        [x],
        [y],
        shape,
        markersize=7,
        markerfacecolor=face,
        markeredgecolor=COLOURS[colour] if not filled else COLOURS["paper"],
        zorder=4,
    )


def _label_points(ax: Axes, content: SetContent, scale: _Scale, values: ScoreAxis, n_letters: int) -> None:
    """Write each label in free space, with a thin line to its point if it had to move."""
    floor, rows = content.reference, content.judged
    points = [*(_position(row, content, scale, values) for row in rows), (0.0, floor)]
    labels = [
        (f"{shorten(row.label, n_letters)} {values.text(content.main_of(row).value)}", MARKERS[row.role][1])
        for row in rows
    ]
    texts = [
        ax.text(0, 0, text, fontsize=8, color=COLOURS[colour])
        for text, colour in [*labels, (f"retrain (floor) {values.text(floor)}", RETRAIN[1])]
    ]
    extents = [text.get_window_extent() for text in texts]
    pixels = [(float(x), float(y)) for x, y in ax.transData.transform(points)]
    area = ax.get_window_extent()
    frame = Box(
        float(area.x0), float(area.y0), float(area.x1), float(ax.transData.transform((0, values.top))[1])
    )
    obstacles = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in pixels]
    lines = [curve.places for curve in _curves(content, scale, values)]
    lines += [
        [(x, low), (x, high)]
        for row, (x, _) in zip(rows, points, strict=False)
        for low, high in [content.main_of(row).interval or (0.0, 0.0)]
    ]
    covered = [box for line in lines for box in boxes_along(ax, line)]
    boxes = place(
        pixels,
        [(float(extent.width) + 2, float(extent.height) + 2) for extent in extents],
        obstacles,
        frame,
        lines=covered,
    )
    for text, box, pixel, point in zip(texts, boxes, pixels, points, strict=True):
        _move(ax, text, box, pixel[0])
        _draw_leader(ax, box, pixel, point)


def _move(ax: Axes, text: Text, box: Box, x: float) -> None:
    """Move text into box, flush with the side nearer to x, the position of its point in pixels.

    A page may show the text in a narrower font than was measured; there is still no gap at this side.
    """
    side, anchor = (
        ("left", box.left + 1)
        if box.left > x
        else ("right", box.right - 1)
        if box.right < x
        else ("center", (box.left + box.right) / 2)
    )
    left, bottom = ax.transData.inverted().transform((anchor, box.bottom + 1))
    text.set(x=left, y=bottom, horizontalalignment=side, verticalalignment="bottom")


def _draw_leader(ax: Axes, box: Box, pixel: tuple[float, float], point: tuple[float, float]) -> None:
    near = (min(max(pixel[0], box.left), box.right), min(max(pixel[1], box.bottom + 2), box.top - 2))
    if math.dist(near, pixel) > 10:
        end = ax.transData.inverted().transform(near)
        ax.add_line(
            Line2D([point[0], end[0]], [point[1], end[1]], color=COLOURS["quiet"], linewidth=0.6, zorder=1)
        )


def _legend(figure: Figure, roles: set[Role], *, has_curves: bool) -> None:
    marks = [MARKERS[role] for role in MARKERS if role in roles] + [RETRAIN]
    handles = [
        key(text, colour, marker=shape, markersize=7, markerfacecolor=COLOURS[colour] if full else "none")
        for shape, colour, full, text in marks
    ]
    handles += [legend_handle()] if has_curves else []
    n_columns = len(handles) if len(handles) < 7 else -(-len(handles) // 2)
    legend(figure, handles, loc="lower center", ncols=n_columns, handletextpad=0.2, columnspacing=1.6)
