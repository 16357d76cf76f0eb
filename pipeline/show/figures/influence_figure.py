"""The figure of a point and of the training points that help and hurt it, with their weights.

The points are shown as images. If inputs are no images, the weights are shown as bar charts.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.results.attribution_content import InfluenceContent, PointContent, WeightContent
from pipeline.results.formatting import give_or_take
from pipeline.results.tables import number
from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import (
    WIDTH,
    canvas,
    grey_range,
    sheet,
    shorten,
    show_on_sheet,
    themed,
    write,
)

_COLUMNS = 8
# Each training point is a tile: its image and its text. All lengths are in inches.
# The left end of the tiles, and the space above all.
_LEFT, _EDGE = 2.1, 0.08
# The width of a tile, the distance from the left end of one to that of the next, and the size of an image.
_TILE, _PITCH, _SIZE = 0.97, 1.125, 0.9
# The height of a line of tiles, and of the heading above the lines of one side.
LINE, HEADING = 1.52, 0.3
# At most this many points that help are shown, and at most this many that hurt; a table can list more.
_MOST = 24
HEADINGS = {
    "helpful": "help most: without one of them the {output} falls",
    "harmful": "hurt most: without one of them the {output} rises",
}
COLOUR = {"helpful": "accent", "harmful": "rival"}


def influence_figure(content: InfluenceContent) -> Figure:
    """Return a figure of the target and the training points that help and hurt it most.

    Each training point is shown with its weight and standard error. With images, the target is at the left,
    and helpful points are above harmful ones.
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
    height = _EDGE + sum(HEADING + LINE * n_lines for n_lines in lines.values())
    grey = grey_range([content.target, *(weight.point for side in sides.values() for weight in side)])
    others = [weight for side in sides.values() for weight in side]
    others = [weight for weight in others if not _is_itself(weight.point, content)]
    strongest = max((abs(weight.weight) for weight in others), default=1.0)
    with themed():
        figure = canvas(WIDTH, height)
        page, top = sheet(figure), height - _EDGE
        inches = page.transData
        show_on_sheet(page, content.target, grey, left=0.13, top=top, size=1.6)
        about = "\n".join(about_target(content))
        write(page, 0.13, top - 1.72, about, linespacing=1.6, transform=inches)
        for name, side in sides.items():
            look: dict[str, Any] = {"fontweight": "bold", "color": COLOURS[COLOUR[name]]}
            write(page, _LEFT, top, _heading(name, content), fontsize=9.5, transform=inches, **look)
            for number, weight in enumerate(side):
                line, column = divmod(number, _COLUMNS)
                left, upper = _LEFT + _PITCH * column, top - HEADING - LINE * line
                middle = left + _TILE / 2
                show_on_sheet(page, weight.point, grey, left=middle - _SIZE / 2, top=upper, size=_SIZE)
                _draw_weight(page, left, upper - _SIZE, weight, COLOUR[name], strongest)
                red = COLOURS["flipped" if weight.point.is_flipped else "muted"]
                text: dict[str, Any] = {"ha": "center", "transform": inches, "fontsize": 7.5, "color": red}
                write(page, middle, upper - _SIZE - 0.28, _name(weight.point, content), **text)
            if not side:
                write(page, _LEFT, top - HEADING, "none", transform=inches)
            top -= HEADING + LINE * lines[name]
    return figure


def _draw_weight(
    page: Axes, left: float, top: float, weight: WeightContent, colour: str, strongest: float
) -> None:
    """Draw a bar for the size of a weight, relative to strongest, and the weight as a number below it.

    strongest is the largest absolute weight of all points but the target itself. The bar of the target is cut
    at full length, because all other bars would be tiny beside it.
    """
    share = min(abs(weight.weight) / strongest, 1.0)
    for end, drawn in ((1.0, "line"), (share, colour)):
        bar: dict[str, Any] = {"linewidth": 2.4, "solid_capstyle": "butt", "color": COLOURS[drawn]}
        page.plot([left, left + _TILE * end], [top - 0.05, top - 0.05], **bar)
    look: dict[str, Any] = {"fontsize": 8, "fontweight": "bold", "color": COLOURS[colour]}
    text = give_or_take(weight.weight, weight.standard_error)
    write(page, left + _TILE / 2, top - 0.11, text, ha="center", transform=page.transData, **look)


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
