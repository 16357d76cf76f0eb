"""All figures of a report, by file name without suffix.

The page shows figures as SVG; everywhere else they are PNG.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.results.attribution_content import PointContent
from pipeline.results.report_content import Report, SetContent, chosen_row, ranked_points
from pipeline.show.figures.cost_figure import cost_figure
from pipeline.show.figures.curve_figure import curve_figure
from pipeline.show.figures.forecast_figure import forecast_figure
from pipeline.show.figures.influence_figure import influence_figure
from pipeline.show.figures.margin_figure import margin_figure
from pipeline.show.figures.theme import canvas, grey_range, sheet, show_on_sheet, svg, themed, write

# A report pictures at most this many points of a forget set.
MAX_IMAGES = 60


@dataclass(frozen=True)
class Drawing:
    """A drawn figure and what it shows, in words."""

    figure: Figure
    description: str

    def svg(self) -> Markup:
        """Return the figure as SVG for a page."""
        return Markup(svg(self.figure, self.description))


def drawings(report: Report) -> dict[str, Drawing]:
    """Return the figures by name, without suffix.

    There is `<first judge>_against_cost`, and `lds_by_models` if there is a curve. Each forget set has
    `margins_<set>`, and `forgotten_<set>` if inputs are images. With a datamodel it also has
    `predicted_<set>` and `influences_<set>_<point>`. Figures without content are left out.
    """
    drawn: dict[str, tuple[Figure | None, str]] = {}
    if report.sets:
        first, about = report.sets[0], f"{report.sets[0].title} against the cost of a request"
        drawn[f"{next(iter(first.judges))}_against_cost"] = cost_figure(report.sets), about
    if report.attribution is not None and report.attribution.curve is not None:
        curve = curve_figure(report.attribution.curve, report.attribution.forgetting)
        drawn["lds_by_models"] = curve, "LDS and forgetting against the number of subset models"
    for number, content in enumerate(report.sets):
        name, which = set_name(content, number), f"set {content.label}, number {number}"
        drawn[f"margins_{name}"] = margin_figure(content), f"Margins of forgotten points of {which}"
        drawn[f"forgotten_{name}"] = image_figure(content), f"Forgotten points of {which}"
        if content.forecast is not None:
            predicted = forecast_figure(content.forecast)
            drawn[f"predicted_{name}"] = predicted, f"Predicted changes of margins for {which}"
        for one in content.influences:
            about = f"Training points that help and hurt point {one.target.id} of {which}"
            drawn[f"influences_{name}_{one.target.id}"] = influence_figure(one), about
    return {name: Drawing(figure, about) for name, (figure, about) in drawn.items() if figure is not None}


def shown_points(content: SetContent) -> list[PointContent]:
    """Return the forgotten points that a report pictures, those forgotten worst by `chosen_row` first."""
    row = chosen_row(content)
    order = np.arange(len(content.forgotten)) if row is None else ranked_points(content, row)
    return [content.forgotten[point] for point in order[:MAX_IMAGES]]


def image_figure(content: SetContent) -> Figure | None:
    """Return a figure of the forgotten images with id and label; None if the inputs are no images."""
    points = shown_points(content)
    if points[0].image is None:
        return None
    n_columns = max(4, min(12, len(points)))
    grey = grey_range(content.forgotten)
    with themed():
        figure = canvas(0.92 * n_columns, 1.16 * math.ceil(len(points) / n_columns) + 0.1)
        page = sheet(figure)
        for number, point in enumerate(points):
            line, column = divmod(number, n_columns)
            left, top = 0.05 + 0.92 * column, figure.get_figheight() - 0.36 - 1.16 * line
            show_on_sheet(page, point, grey, left=left, top=top, size=0.78)
            look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 7.5}
            text = f"#{point.id}\n{point.label}"
            write(page, left + 0.39, top + 0.05, text, transform=page.transData, **look)
    return figure


def set_name(content: SetContent, number: int) -> str:
    """Return the label of a set if it is fit for a file name.

    Otherwise return its usable letters with the number of the set, which makes the name unique.
    """
    label = content.label
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", label)
    return label if clean == label else f"{clean[:40]}_{number}"
