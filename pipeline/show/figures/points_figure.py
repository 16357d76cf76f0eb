"""The figure of a judge's values of single points, by split.

It shows how many points have which value; one number for a split hides this.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from pipeline.results.formatting import in_unit, unit_suffix
from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import canvas, themed

COLOUR_OF_SPLIT = {"forget": "rival", "retain": "accent", "validation": "oracle"}


def points_figure(points: Mapping[str, Float[np.ndarray, " _"]], *, title: str, unit: str) -> Figure:
    """Return a figure of the share of points at or below each value, with one line for each split.

    The 95th percentile of each split is marked. Values that are not finite are left out.
    """
    with themed():
        figure = canvas(6.4, 3.4)
        figure.subplots_adjust(0.11, 0.15, 0.975, 0.86)
        ax = figure.add_subplot()
        for split, values in points.items():
            finite = np.sort(values[np.isfinite(values)])
            if not len(finite):
                continue
            shares, colour = (
                np.arange(1, len(finite) + 1) / len(finite),
                COLOURS[COLOUR_OF_SPLIT.get(split, "quiet")],
            )
            p95 = float(np.percentile(finite, 95))
            ax.step(
                [finite[0], *finite],
                [0.0, *shares],
                where="post",
                color=colour,
                linewidth=1.8,
                label=f"{split}: {len(finite):,} points, P95 {in_unit(p95, unit)}",
            )
            ax.plot([p95], [0.95], "o", color=colour, markersize=6, markeredgecolor=COLOURS["paper"])
        ax.set_ylim(0, 1.03)
        ax.set_xlabel(f"{title}{unit_suffix(unit)}")
        ax.set_ylabel("share of points at or below")
        ax.grid()
        if ax.lines:
            ax.legend(loc="lower right", fontsize=8.5)
        ax.set_title("Dots mark 95% of the points")
    return figure
