"""LDS against the number of subset models, and what forgetting by prediction alone comes to: whether more of them would help."""

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from pipeline.reporting.attribution_content import CurveContent, ForgetCurveContent
from pipeline.reporting.attribution_words import curve_words
from pipeline.reporting.theme import COLOURS, canvas, themed

# Sets up to which each line is named; with more, names would lie on each other.
MOST_NAMED = 6
HUES = ("accent", "rival", "ink", "flipped", "quiet", "muted")


def curve_figure(curve: CurveContent, forgetting: Sequence[ForgetCurveContent] = ()) -> Figure:
    """Return LDS with its interval at every number of models, each twice the one before; the last doubling is what the title is about.

    forgetting is drawn below, if there is any: P95 KLoM of the logits that are predicted for each forget set.
    """
    lows, highs = zip(*curve.intervals, strict=True)
    with themed():
        figure = canvas(5.2, 5.8 if forgetting else 3.0)
        axes = figure.subplots(2 if forgetting else 1, squeeze=False)[:, 0]
        figure.subplots_adjust(0.125, 0.085 if forgetting else 0.165, 0.975, 0.895 if forgetting else 0.8, hspace=0.42)
        ax = axes[0]
        _by_models(ax, curve.n_models)
        ax.fill_between(curve.n_models, lows, highs, color=COLOURS["accent"], alpha=0.14, linewidth=0)
        ax.plot(curve.n_models, curve.lds, "o-", color=COLOURS["accent"], linewidth=1.7, markersize=5.5, markeredgecolor=COLOURS["paper"])
        for n_models, value, high in zip(curve.n_models, curve.lds, highs, strict=True):
            ax.annotate(f"{value:.3f}", (n_models, high), (0, 4), textcoords="offset points", ha="center", fontsize=8.5)
        ax.set_ylabel("LDS on held-out models")
        first, _, rest = curve_words(curve).rpartition(" gained ")
        ax.set_title(f"{first}\ngained {rest}", loc="left", fontsize=9.5, linespacing=1.5)
        if forgetting:
            _draw_forgetting(axes[1], forgetting)
    return figure


def _draw_forgetting(ax: Axes, forgetting: Sequence[ForgetCurveContent]) -> None:
    """Draw a line for each set, and the medians of what retrained models and those left as they are come to."""
    _by_models(ax, forgetting[0].n_models)
    named = len(forgetting) <= MOST_NAMED
    for number, one in enumerate(forgetting):
        colour = COLOURS[HUES[number % len(HUES)]] if named else COLOURS["accent"]
        style = {"marker": "o", "markersize": 4, "linewidth": 1.5} if named else {"linewidth": 0.8, "alpha": 0.5}
        ax.plot(one.n_models, one.p95, color=colour, label=one.label if named else None, **style)
    floor, nothing = (statistics.median(getattr(one, name) for one in forgetting) for name in ("floor", "nothing"))
    ax.axhline(nothing, color=COLOURS["muted"], linestyle=":", linewidth=1.2, label="doing nothing")
    ax.axhline(floor, color=COLOURS["oracle"], linestyle="--", linewidth=1.2, label="retrained")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("P95 KLoM, forgotten points")
    ax.set_title("What the predictions alone would come to (DM-Direct)", loc="left", fontsize=9.5)
    ax.legend(fontsize=7.5, ncols=3)


def _by_models(ax: Axes, n_models: Sequence[int]) -> None:
    """Make the horizontal axis one of models, each number twice the one before."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(n_models, [f"{count:,}" for count in n_models])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.09, y=0.16)
    ax.set_xlabel("subset models")
    ax.tick_params(length=0)
    ax.grid(axis="y", color=COLOURS["line"], linewidth=0.6, alpha=0.7)
    ax.set_axisbelow(True)
