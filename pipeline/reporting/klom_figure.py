"""KLoM of single points by split: how many of them are how far from retraining, which one number per split hides."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from pipeline.reporting.formatting import nats
from pipeline.reporting.theme import COLOURS, canvas, themed

COLOUR_OF_SPLIT = {"forget": "rival", "retain": "accent", "validation": "oracle"}


def klom_figure(klom: Mapping[str, Float[np.ndarray, " _"]]) -> Figure:
    """Return the share of points at or below each KLoM, in nats, a line for each split with its 95th percentile marked; what is not finite is left out."""
    with themed():
        figure = canvas(6.4, 3.4)
        figure.subplots_adjust(0.11, 0.15, 0.975, 0.86)
        ax = figure.add_subplot()
        for split, values in klom.items():
            finite = np.sort(values[np.isfinite(values)])
            if not len(finite):
                continue
            shares, colour = np.arange(1, len(finite) + 1) / len(finite), COLOURS[COLOUR_OF_SPLIT.get(split, "quiet")]
            p95 = float(np.percentile(finite, 95))
            ax.step([0.0, *finite], [0.0, *shares], where="post", color=colour, linewidth=1.8, label=f"{split}: {len(finite):,} points, P95 {nats(p95)}")
            ax.plot([p95], [0.95], "o", color=colour, markersize=6, markeredgecolor=COLOURS["paper"])
        ax.set_xlim(left=0)
        ax.set_ylim(0, 1.03)
        ax.set_xlabel("KLoM to retrained models (nats)")
        ax.set_ylabel("share of points at or below")
        ax.tick_params(length=0)
        ax.grid(color=COLOURS["line"], linewidth=0.6, alpha=0.7)
        ax.set_axisbelow(True)
        ax.legend(loc="lower right", fontsize=8.5)
        ax.set_title("The further left, the nearer to retraining; dots mark 95% of the points", loc="left", fontsize=9.5)
    return figure
