"""One point beside the training points that help it and those that hurt it, with their weights.

The points are pictures, or bars if the inputs are no images.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.results.attribution_content import InfluenceContent, PointContent, WeightContent
from pipeline.results.formatting import give_or_take
from pipeline.results.tables import number
from pipeline.show.figures.theme import COLOURS, canvas, draw_image, sheet, shorten, themed

_COLUMNS = 8
# Inches: the figure's width, the left edge of the tiles and the room above; the width of a tile, the pitch of
# tiles and the size of an image; the height of a line of tiles with their text, and of the heading above.
_WIDTH, _LEFT, _EDGE = 11.0, 2.1, 0.08
_TILE, _PITCH, _SIZE = 0.97, 1.125, 0.9
LINE, HEADING = 1.52, 0.3
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


def grey_range(points: Sequence[PointContent]) -> tuple[float, float]:
    """Return the lowest and the highest value of all images among points, (0, 1) if there are none."""
    images = [point.image for point in points if point.image is not None]
    return (float(min(map(np.nanmin, images))), float(max(map(np.nanmax, images)))) if images else (0.0, 1.0)


def _tiles(content: InfluenceContent, sides: dict[str, tuple[WeightContent, ...]]) -> Figure:
    lines = {name: max(1, -(-len(side) // _COLUMNS)) for name, side in sides.items()}
    height = _EDGE + sum(HEADING + LINE * n_lines for n_lines in lines.values())
    shown = [weight for side in sides.values() for weight in side]
    grey = grey_range([content.target, *(weight.point for weight in shown)])
    strongest = max(
        (abs(weight.weight) for weight in shown if not _is_itself(weight.point, content)), default=1.0
    )
    with themed():
        figure = canvas(_WIDTH, height)
        ax = sheet(figure)
        _draw_target(ax, content, grey, height - _EDGE)
        top = height - _EDGE
        for name, side in sides.items():
            ax.text(
                _LEFT,
                top,
                _heading(name, content),
                va="top",
                fontsize=9.5,
                fontweight="bold",
                color=COLOURS[COLOUR[name]],
            )
            for number, weight in enumerate(side):
                line, column = divmod(number, _COLUMNS)
                place = _LEFT + _PITCH * column, top - HEADING - LINE * line
                _draw_tile(ax, place, weight, content, name, strongest, grey)
            if not side:
                ax.text(_LEFT, top - HEADING, "none", va="top", fontsize=8.5, color=COLOURS["muted"])
            top -= HEADING + LINE * lines[name]
    return figure


def _draw_target(ax: Axes, content: InfluenceContent, grey: tuple[float, float], top: float) -> None:
    if content.target.image is not None:
        draw_image(ax, content.target.image, grey, left=0.13, top=top, size=1.6)
    ax.text(
        0.13,
        top - 1.72,
        "\n".join(about_target(content)),
        va="top",
        fontsize=8.5,
        linespacing=1.6,
        color=COLOURS["muted"],
    )


def _draw_tile(
    ax: Axes,
    place: tuple[float, float],
    weight: WeightContent,
    content: InfluenceContent,
    side: str,
    strongest: float,
    grey: tuple[float, float],
) -> None:
    """Draw the image of a point at place, which is its upper left corner, and its weight below."""
    left, top = place
    if weight.point.image is not None:
        draw_image(ax, weight.point.image, grey, left=left + (_TILE - _SIZE) / 2, top=top, size=_SIZE)
    # The bar shows the size of the weight, and the number stands under it. The weight of a point on itself is
    # cut, because all other bars would be tiny beside it.
    share = min(abs(weight.weight) / strongest, 1.0)
    bottom, colour = top - _SIZE, COLOURS[COLOUR[side]]
    for length, drawn in ((1.0, COLOURS["line"]), (share, colour)):
        ax.plot(
            [left, left + _TILE * length],
            [bottom - 0.05] * 2,
            color=drawn,
            linewidth=2.4,
            solid_capstyle="butt",
        )
    text: dict[str, Any] = {"ha": "center", "va": "top"}
    ax.text(
        left + _TILE / 2,
        bottom - 0.11,
        give_or_take(weight.weight, weight.standard_error),
        fontsize=8,
        fontweight="bold",
        color=colour,
        **text,
    )
    ax.text(
        left + _TILE / 2,
        bottom - 0.28,
        _name(weight.point, content),
        fontsize=7.5,
        color=COLOURS["flipped" if weight.point.is_flipped else "muted"],
        **text,
    )


def _bars(content: InfluenceContent, sides: dict[str, tuple[WeightContent, ...]]) -> Figure:
    n_rows = max(1, *(len(side) for side in sides.values()))
    height = 0.75 + 0.22 * n_rows + 0.3
    with themed():
        figure = canvas(11.0, height)
        figure.subplots_adjust(0.12, 0.1, 0.985, 1 - 0.72 / height, 0.3)
        figure.text(
            0.012,
            1 - 0.1 / height,
            " · ".join(about_target(content)),
            va="top",
            fontsize=8.5,
            color=COLOURS["muted"],
        )
        for ax, (name, side) in zip(figure.subplots(1, 2), sides.items(), strict=True):
            rows = np.arange(len(side))
            errors = [0.0 if weight.standard_error is None else weight.standard_error for weight in side]
            ax.barh(rows, [weight.weight for weight in side], height=0.62, color=COLOURS[COLOUR[name]])
            ax.errorbar(
                [weight.weight for weight in side],
                rows,
                xerr=errors,
                fmt="none",
                ecolor=COLOURS["ink"],
                elinewidth=1.0,
            )
            for row, weight, error in zip(rows, side, errors, strict=True):
                sign = 1 if weight.weight > 0 else -1
                place = {
                    "xytext": (5 * sign, 0),
                    "textcoords": "offset points",
                    "ha": "left" if sign > 0 else "right",
                }
                ax.annotate(
                    give_or_take(weight.weight, weight.standard_error),
                    (weight.weight + sign * error, row),
                    **place,
                    va="center",
                    fontsize=7.5,
                )
            ax.set_yticks(rows, [_name(weight.point, content) for weight in side], fontsize=8)
            ax.set_ylim(n_rows - 0.4, -0.6)
            ax.margins(x=0.3)
            ax.set_title(
                _heading(name, content),
                loc="left",
                fontsize=9.5,
                fontweight="bold",
                color=COLOURS[COLOUR[name]],
            )
            ax.tick_params(length=0)
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
