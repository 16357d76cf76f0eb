"""The figure of LDS, and of the P95 KLoM of predicted outputs, against the number of subset models.

It shows whether more subset models would help.
"""

import math
import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pipeline.results.attribution_content import CurveContent, ForgetCurveContent
from pipeline.show.colours import COLOURS
from pipeline.show.figures.score_axis import prepare_root_axis
from pipeline.show.figures.theme import canvas, legend, shorten, themed
from pipeline.show.report.attribution_words import curve_words

# Each forget set's line is named if there are at most this many sets; more names would overlap.
_MOST_NAMED = 6
HUES = ("accent", "rival", "ink", "flipped", "quiet", "muted")
# Shapes of the marks, which distinguish lines in print and for colour-blind readers.
SHAPES = ("o", "s", "^", "D", "v", "P")
# In inches: the height of the figure if it has the panel of forgetting, and the space below this panel for
# axis and legend.
FORGETTING, LEGEND = 6.6, 1.2


def curve_figure(curve: CurveContent, forgetting: Sequence[ForgetCurveContent] = ()) -> Figure:
    """Return a figure of LDS, with its interval, against the number of models.

    The title says what the last doubling gained. If forgetting is given, a panel below shows the P95 KLoM of
    the logits that are predicted for each forget set.
    """
    lows, highs = zip(*curve.intervals, strict=True)
    with themed():
        height = FORGETTING if forgetting else 3.0
        figure = canvas(5.2, height)
        axes = figure.subplots(2 if forgetting else 1, squeeze=False)[:, 0]
        figure.subplots_adjust(
            0.125, (LEGEND if forgetting else 0.5) / height, 0.975, 1 - 0.6 / height, hspace=0.42
        )
        ax = axes[0]
        _by_models(ax, curve.n_models)
        ax.fill_between(curve.n_models, lows, highs, color=COLOURS["accent"], alpha=0.14, linewidth=0)
        ax.plot(
            curve.n_models,
            curve.lds,
            "o-",
            color=COLOURS["accent"],
            linewidth=1.7,
            markersize=5.5,
            markeredgecolor=COLOURS["paper"],
        )
        for n_models, value, high in zip(curve.n_models, curve.lds, highs, strict=True):
            ax.annotate(
                f"{value:.3f}",
                (n_models, high),
                (0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
        ax.set_ylabel("LDS on held-out models")
        first, _, rest = curve_words(curve).rpartition(" gained ")
        ax.set_title(f"{first}\ngained {rest}", linespacing=1.5)
        if forgetting:
            _draw_forgetting(axes[1], forgetting)
    return figure


def _draw_forgetting(ax: Axes, forgetting: Sequence[ForgetCurveContent]) -> None:
    """Draw the P95 KLoM of each forget set, and the medians over sets for retraining and doing nothing."""
    _by_models(ax, forgetting[0].n_models)
    named = len(forgetting) <= _MOST_NAMED
    for number, one in enumerate(forgetting):
        colour = COLOURS[HUES[number % len(HUES)]] if named else COLOURS["accent"]
        style = (
            {"marker": SHAPES[number], "markersize": 4.5, "linewidth": 1.5}
            if named
            else {"linewidth": 0.8, "alpha": 0.5}
        )
        ax.plot(one.n_models, one.p95, color=colour, label=shorten(one.label, 22) if named else None, **style)
    floor, nothing = (
        statistics.median(getattr(one, name) for one in forgetting) for name in ("floor", "nothing")
    )
    of_sets = ", median of the sets" if len(forgetting) > 1 else ""
    ax.axhline(nothing, color=COLOURS["muted"], linestyle=":", linewidth=1.2, label=f"doing nothing{of_sets}")
    ax.axhline(floor, color=COLOURS["oracle"], linestyle="--", linewidth=1.2, label=f"retrained{of_sets}")
    drawn = [value for one in forgetting for value in one.p95 if math.isfinite(value)]
    top = max([nothing, floor, *drawn])
    prepare_root_axis(ax, 1.01 * top, 1.1 * top)
    ax.set_ylabel("P95 KLoM (nats)")
    ax.set_title("Forgotten points, if the predictions were the outputs (DM-Direct)")
    # The legend is below the axis, where it covers no line.
    legend(ax, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(-0.02, -0.24), borderaxespad=0)


def _by_models(ax: Axes, n_models: Sequence[int]) -> None:
    """Set up the horizontal axis for numbers of models, each twice the one before."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(n_models, [f"{count:,}" for count in n_models])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.09, y=0.16)
    ax.set_xlabel("subset models")
    ax.grid(axis="y")
