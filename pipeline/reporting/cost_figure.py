"""The figure that decides: KLoM on the forgotten points against the cost of a request, one panel for each forget set."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.reporting.content import Role, Row, SetContent
from pipeline.reporting.numbers import nats, percent
from pipeline.reporting.placement import Box, place
from pipeline.reporting.theme import COLOURS, canvas, shorten, themed

CEILING = -math.log(1e-5)
COLUMNS = 3
# Shape and fill carry the role as well as colour does, for print and for colour-blind readers.
MARKERS = {
    Role.DATAMODEL: ("o", "accent", True, "uses the datamodel"),
    Role.RIVAL: ("s", "rival", True, "needs no datamodel"),
    Role.PREDICTOR: ("o", "accent", False, "predictor, moves no weights"),
    Role.BOUND: ("^", "oracle", False, "bound, needs true oracles"),
    Role.NOTHING: ("X", "quiet", True, "does nothing"),
}
RETRAIN = ("D", "oracle", True, "retraining, at the floor")


def cost_figure(sets: Sequence[SetContent]) -> Figure:
    """Return forget P95 KLoM against the fraction of one retraining, with intervals, the floor as a band and the ceiling as a line."""
    n_columns = min(len(sets), COLUMNS)
    n_lines = -(-len(sets) // n_columns)
    panel_height = max(3.3, 1.6 + 0.17 * max(len(content.rows) for content in sets))
    fractions = [row.cost.fraction for content in sets for row in content.rows]
    with themed():
        figure = canvas(11, n_lines * panel_height + 0.5)
        axes = figure.subplots(n_lines, n_columns, squeeze=False, sharey=True).flat
        figure.subplots_adjust(0.055, (0.62 + 0.35) / figure.get_figheight(), 0.995, 1 - 0.35 / figure.get_figheight(), 0.06, 0.62 / 2.4)
        for ax, content in zip(axes, sets, strict=False):
            _draw_panel(ax, content, _Scale(fractions))
        for ax in list(axes)[len(sets) :]:
            ax.set_visible(False)
        for first in range(0, len(sets), n_columns):
            figure.axes[first].set_ylabel("P95 KLoM on forgotten points (nats)")
        _legend(figure, {row.role for content in sets for row in content.rows})
        for ax, content in zip(figure.axes, sets, strict=False):
            _label_points(ax, content, _Scale(fractions))
    return figure


class _Scale:
    """The cost axis: logarithmic in decades, with one slot at the left for 0."""

    def __init__(self, fractions: Sequence[float]) -> None:
        positive = [fraction for fraction in fractions if fraction > 0 and math.isfinite(fraction)]
        self.first = min(-1, math.floor(math.log10(min(positive, default=0.1)) + 1e-9))
        self.last = max(0.0, math.log10(max(positive, default=1.0)))

    def position(self, fraction: float) -> float:
        """Return where a cost lies; one decade is one unit, one retraining is 0."""
        return math.log10(fraction) if fraction > 0 else self.first - 0.6

    def ticks(self) -> dict[float, str]:
        """Return the ticks: nothing, then every decade."""
        return {self.position(0): "0"} | {decade: percent(10.0**decade) for decade in range(self.first, math.floor(self.last) + 1)}


def _draw_panel(ax: Axes, content: SetContent, scale: _Scale) -> None:
    floor = content.floor["forget"]
    ax.set_title(shorten(content.label, 36), loc="left", fontsize=10.5, fontweight="bold")
    ax.set_xlim(scale.position(0) - 0.35, scale.last + 0.45)
    ax.set_ylim(0, 13)
    ax.set_xticks(list(scale.ticks()), list(scale.ticks().values()))
    ax.set_yticks(range(0, 13, 2))
    ax.tick_params(length=0)
    ax.grid(axis="y", color=COLOURS["line"], linewidth=0.6, alpha=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel("cost of a request, of one retraining")
    ax.axhspan(0, floor, color=COLOURS["oracle"], alpha=0.16, linewidth=0)
    ax.axhline(CEILING, color=COLOURS["quiet"], linewidth=0.9, linestyle=(0, (4, 3)))
    ax.text(1, CEILING + 0.15, f"ceiling {nats(CEILING)}", transform=ax.get_yaxis_transform(), ha="right", fontsize=8, color=COLOURS["muted"])
    for row in content.rows:
        shape, colour, filled, _ = MARKERS[row.role]
        x, y = scale.position(row.cost.fraction), row.p95["forget"]
        ax.plot([x, x], row.interval["forget"], color=COLOURS[colour], linewidth=1.4, alpha=0.45, solid_capstyle="round")
        _mark(ax, x, y, shape, colour, filled=filled)
    _mark(ax, 0.0, floor, RETRAIN[0], RETRAIN[1], filled=True)


def _mark(ax: Axes, x: float, y: float, shape: str, colour: str, *, filled: bool) -> None:
    face = COLOURS[colour] if filled else COLOURS["paper"]
    ax.plot([x], [y], shape, markersize=7, markerfacecolor=face, markeredgecolor=COLOURS[colour] if not filled else COLOURS["paper"], zorder=4)


def _label_points(ax: Axes, content: SetContent, scale: _Scale) -> None:
    """Write each label where it is free, with a hairline to its point if it had to move."""
    points = [(scale.position(row.cost.fraction), row.p95["forget"]) for row in content.rows] + [(0.0, content.floor["forget"])]
    texts = [_label(row) for row in content.rows] + [f"retrain (floor) {nats(content.floor['forget'])}"]
    colours = [MARKERS[row.role][1] for row in content.rows] + [RETRAIN[1]]
    canvas_of = ax.get_figure(root=True).canvas if ax.get_figure(root=True) else None
    renderer = canvas_of.get_renderer() if isinstance(canvas_of, FigureCanvasAgg) else None
    pixels = [tuple(ax.transData.transform(point)) for point in points]
    artists = [ax.text(0, 0, text, fontsize=8, color=COLOURS[colour]) for text, colour in zip(texts, colours, strict=True)]
    sizes = [(artist.get_window_extent(renderer).width + 2, artist.get_window_extent(renderer).height + 3) for artist in artists]
    area = ax.get_window_extent(renderer)
    ceiling = ax.transData.transform((0, CEILING))[1]
    obstacles = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in pixels]
    boxes = place(pixels, sizes, obstacles, Box(area.x0, area.y0, area.x1, ceiling))
    to_data = ax.transData.inverted()
    for artist, box, pixel, point in zip(artists, boxes, pixels, points, strict=True):
        artist.set_position(to_data.transform((box.left + 1, box.bottom + 2)))
        _draw_leader(ax, box, pixel, point)


def _draw_leader(ax: Axes, box: Box, pixel: tuple[float, float], point: tuple[float, float]) -> None:
    near = (min(max(pixel[0], box.left), box.right), min(max(pixel[1], box.bottom + 2), box.top - 2))
    if math.dist(near, pixel) > 10:
        end = ax.transData.inverted().transform(near)
        ax.add_line(Line2D([point[0], end[0]], [point[1], end[1]], color=COLOURS["quiet"], linewidth=0.6, zorder=1))


def _label(row: Row) -> str:
    return f"{shorten(row.label, 22)} {nats(row.p95['forget'])}"


def _legend(figure: Figure, roles: set[Role]) -> None:
    marks = [MARKERS[role] for role in MARKERS if role in roles] + [RETRAIN]
    handles = [
        Line2D([], [], linestyle="", marker=shape, markersize=7, label=text, color=COLOURS[colour], markerfacecolor=COLOURS[colour] if full else "none")
        for shape, colour, full, text in marks
    ]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize=8.5, handletextpad=0.2, columnspacing=1.6, labelcolor=COLOURS["muted"])
