"""One point beside the training points that help it and those that hurt it, with their weights.

The points are pictures, or bars if the inputs are no images.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec

from pipeline.results.attribution_content import InfluenceContent, PointContent, WeightContent
from pipeline.results.formatting import give_or_take
from pipeline.results.tables import number
from pipeline.show.figures.theme import COLOURS, WIDTH, canvas, grey_range, shorten, show, themed, write

_COLUMNS = 8
# Inches: the height of a line of tiles with the text under them, and of the heading above the lines.
LINE, HEADING = 1.52, 0.3
# The left end of the tiles, as a share of the width.
TILES_LEFT = 2.1 / WIDTH
# Points pictured at most on each side; a table can be longer.
_MOST = 24
HEADINGS = {
    "helpful": "help most: without one of them the {output} falls",
    "harmful": "hurt most: without one of them the {output} rises",
}
COLOUR = {"helpful": "accent", "harmful": "rival"}


def influence_figure(content: InfluenceContent) -> Figure:
    """Return a figure of the target at the left, and lines of helpful points above harmful ones.

    Each training point is shown with its weight and standard error.
    """
    sides = {
        name: side[:_MOST] for name, side in (("helpful", content.helpful), ("harmful", content.harmful))
    }
    return _tiles(content, sides) if content.target.image is not None else _bars(content, sides)


def about_target(content: InfluenceContent) -> list[str]:
    """Return the texts about the target.

    They name the point, its label, the attributed output, R² of the datamodel for it, and the meaning of red.
    """
    point = content.target
    r2 = [] if content.r2 is None else [f"R² {number(content.r2, 2)} on held-out models"]
    flipped = any(weight.point.is_flipped for weight in (*content.helpful, *content.harmful))
    note = ["red: flipped, given → true"] if flipped else []
    return [
        f"{point.split} point {point.id}",
        f"label {point.label}",
        f"{content.output}, in {content.unit}",
        *r2,
        *note,
    ]


def _tiles(content: InfluenceContent, sides: dict[str, tuple[WeightContent, ...]]) -> Figure:
    lines = {name: max(1, -(-len(side) // _COLUMNS)) for name, side in sides.items()}
    height = 0.08 + sum(HEADING + LINE * n_lines for n_lines in lines.values())
    grey = grey_range([content.target, *(weight.point for side in sides.values() for weight in side)])
    with themed():
        figure = canvas(WIDTH, height)
        _draw_target(figure, content, grey, height)
        top = height - 0.08
        others = [weight for side in sides.values() for weight in side]
        others = [weight for weight in others if not _is_itself(weight.point, content)]
        strongest = max((abs(weight.weight) for weight in others), default=1.0)
        for name, side in sides.items():
            colour = COLOURS[COLOUR[name]]
            write(
                figure,
                TILES_LEFT,
                top / height,
                _heading(name, content),
                fontsize=9.5,
                fontweight="bold",
                color=colour,
            )
            bottom = top - HEADING - LINE * lines[name]
            grid = GridSpec(
                lines[name],
                _COLUMNS,
                figure,
                TILES_LEFT,
                (bottom + 0.62) / height,
                0.995,
                (top - HEADING) / height,
                0.16,
                0.66,
            )
            for number, weight in enumerate(side):
                _draw_tile(figure, grid[number], weight, content, name, strongest, grey)
            if not side:
                write(figure, TILES_LEFT, (top - HEADING) / height, "none")
            top = bottom
    return figure


def _draw_target(figure: Figure, content: InfluenceContent, grey: tuple[float, float], height: float) -> None:
    size = 1.6
    show(
        figure.add_axes((0.012, (height - 0.08 - size) / height, size / WIDTH, size / height)),
        content.target,
        grey,
    )
    about = "\n".join(about_target(content))
    write(figure, 0.012, (height - size - 0.2) / height, about, linespacing=1.6)


def _draw_tile(
    figure: Figure,
    cell: SubplotSpec,
    weight: WeightContent,
    content: InfluenceContent,
    side: str,
    strongest: float,
    grey: tuple[float, float],
) -> None:
    ax = figure.add_subplot(cell)
    show(ax, weight.point, grey)
    # The bar shows the size of the weight, and the number stands under it. The weight of a point on itself is
    # cut, because all other bars would be tiny beside it.
    share = min(abs(weight.weight) / strongest, 1.0)
    for end, colour in ((1.0, "line"), (share, COLOUR[side])):
        ax.plot(
            [0, end],
            [-0.06, -0.06],
            color=COLOURS[colour],
            linewidth=2.4,
            solid_capstyle="butt",
            transform=ax.transAxes,
            clip_on=False,
        )
    number, colour = give_or_take(weight.weight, weight.standard_error), COLOURS[COLOUR[side]]
    write(ax, 0.5, -0.12, number, ha="center", fontsize=8, fontweight="bold", color=colour)
    red = COLOURS["flipped" if weight.point.is_flipped else "muted"]
    write(ax, 0.5, -0.31, _name(weight.point, content), ha="center", fontsize=7.5, color=red)


def _bars(content: InfluenceContent, sides: dict[str, tuple[WeightContent, ...]]) -> Figure:
    n_rows = max(1, *(len(side) for side in sides.values()))
    height = 0.75 + 0.22 * n_rows + 0.3
    with themed():
        figure = canvas(WIDTH, height)
        figure.subplots_adjust(0.12, 0.1, 0.985, 1 - 0.72 / height, 0.3)
        write(figure, 0.012, 1 - 0.1 / height, " · ".join(about_target(content)))
        for ax, (name, side) in zip(figure.subplots(1, 2), sides.items(), strict=True):
            rows = np.arange(len(side))
            values = [weight.weight for weight in side]
            errors = [weight.standard_error or 0.0 for weight in side]
            ax.barh(rows, values, height=0.62, color=COLOURS[COLOUR[name]])
            ax.errorbar(values, rows, xerr=errors, fmt="none", ecolor=COLOURS["ink"], elinewidth=1.0)
            for row, weight, error in zip(rows, side, errors, strict=True):
                sign = 1 if weight.weight > 0 else -1
                ax.annotate(
                    give_or_take(weight.weight, weight.standard_error),
                    (weight.weight + sign * error, row),
                    (5 * sign, 0),
                    textcoords="offset points",
                    ha="left" if sign > 0 else "right",
                    va="center",
                    fontsize=7.5,
                )
            ax.set_yticks(rows, [_name(weight.point, content) for weight in side], fontsize=8)
            ax.set_ylim(n_rows - 0.4, -0.6)
            ax.margins(x=0.3)
            ax.set_title(_heading(name, content), fontweight="bold", color=COLOURS[COLOUR[name]])
    return figure


def _heading(side: str, content: InfluenceContent) -> str:
    return HEADINGS[side].format(output=content.output)


def _name(point: PointContent, content: InfluenceContent) -> str:
    """Return id and label, or a note that the point is the target itself."""
    return (
        f"#{point.id}, itself"
        if _is_itself(point, content)
        else f"#{point.id}, label {shorten(point.label, 12)}"
    )


def _is_itself(point: PointContent, content: InfluenceContent) -> bool:
    return (point.id, point.split) == (content.target.id, content.target.split)
