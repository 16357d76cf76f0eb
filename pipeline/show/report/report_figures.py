"""Every figure of a report as PNG by name, for use outside the page.

The page draws the same figures as SVG.
"""

import math
import re

import numpy as np
from matplotlib.figure import Figure

from pipeline.results.report_content import Report, SetContent, chosen_row, point_label, ranked_points
from pipeline.show.figures.cost_figure import cost_figure
from pipeline.show.figures.curve_figure import curve_figure
from pipeline.show.figures.forecast_figure import forecast_figure
from pipeline.show.figures.influence_figure import influence_figure
from pipeline.show.figures.margin_figure import margin_figure
from pipeline.show.figures.theme import COLOURS, canvas, png, shades, themed

MAX_IMAGES = 60


def figures(report: Report) -> dict[str, bytes]:
    """Return PNG bytes by name, without suffix.

    The names are `<first judge>_against_cost`, `lds_by_models` if there is a curve, and for each forget set
    `margins_<set>`, `forgotten_<set>` if inputs are images, and with a datamodel `predicted_<set>` and
    `influences_<set>_<point>`.
    """
    drawn = (
        {f"{next(iter(report.sets[0].judges))}_against_cost": cost_figure(report.sets)} if report.sets else {}
    )
    if report.attribution is not None and report.attribution.curve is not None:
        drawn["lds_by_models"] = curve_figure(report.attribution.curve, report.attribution.forgetting)
    for number, content in enumerate(report.sets):
        name = _file_name(content.label, number)
        margins, images = margin_figure(content), image_figure(content)
        drawn |= {f"margins_{name}": margins} if margins is not None else {}
        drawn |= {f"forgotten_{name}": images} if images is not None else {}
        drawn |= (
            {f"predicted_{name}": forecast_figure(content.forecast)} if content.forecast is not None else {}
        )
        drawn |= {f"influences_{name}_{one.target.id}": influence_figure(one) for one in content.influences}
    return {name: png(figure) for name, figure in drawn.items()}


def shown_points(content: SetContent) -> list[int]:
    """Return the forgotten points that a report pictures, worst first by the row that it follows."""
    row = chosen_row(content)
    order = np.arange(len(content.ids)) if row is None else ranked_points(content, row)
    return [int(point) for point in order[:MAX_IMAGES]]


def image_figure(content: SetContent) -> Figure | None:
    """Return the forgotten images with id and label; None if the inputs are no images."""
    if content.images is None:
        return None
    points = shown_points(content)
    n_columns = min(12, len(points))
    n_lines = math.ceil(len(points) / n_columns)
    low, high = float(np.nanmin(content.images)), float(np.nanmax(content.images))
    with themed():
        figure = canvas(0.92 * max(n_columns, 4), 1.16 * n_lines + 0.1)
        axes = list(figure.subplots(n_lines, max(n_columns, 4), squeeze=False).flat)
        figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.38 / figure.get_figheight(), 0.1, 0.5)
        for ax in axes:
            ax.set_axis_off()
        for ax, point in zip(axes, points, strict=False):
            ax.imshow(
                shades(content.images[point], low, high), cmap="gray", vmin=0, vmax=1, interpolation="bicubic"
            )
            ax.set_title(
                f"#{content.ids[point]}\n{point_label(content, point)}", fontsize=7.5, color=COLOURS["muted"]
            )
    return figure


def _file_name(label: str, number: int) -> str:
    """Return label if it is fit for a file name, else its usable letters with number to make it unique."""
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", label)
    return label if clean == label else f"{clean[:40]}_{number}"
