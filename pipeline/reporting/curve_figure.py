"""LDS against the number of subset models: whether more of them would help."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pipeline.reporting.attribution_content import CurveContent
from pipeline.reporting.attribution_words import curve_words
from pipeline.reporting.theme import COLOURS, canvas, themed


def curve_figure(curve: CurveContent) -> Figure:
    """Return LDS with its interval at every number of models, each twice the one before; the last doubling is what the title is about."""
    lows, highs = zip(*curve.intervals, strict=True)
    with themed():
        figure = canvas(5.2, 3.0)
        figure.subplots_adjust(0.125, 0.165, 0.975, 0.8)
        ax = figure.add_subplot()
        ax.set_xscale("log", base=2)
        ax.fill_between(curve.n_models, lows, highs, color=COLOURS["accent"], alpha=0.14, linewidth=0)
        ax.plot(curve.n_models, curve.lds, "o-", color=COLOURS["accent"], linewidth=1.7, markersize=5.5, markeredgecolor=COLOURS["paper"])
        for n_models, value, high in zip(curve.n_models, curve.lds, highs, strict=True):
            ax.annotate(f"{value:.3f}", (n_models, high), (0, 4), textcoords="offset points", ha="center", fontsize=8.5)
        ax.set_xticks(curve.n_models, [f"{n_models:,}" for n_models in curve.n_models])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.margins(x=0.09, y=0.16)
        ax.set_xlabel("subset models")
        ax.set_ylabel("LDS on held-out models")
        ax.tick_params(length=0)
        ax.grid(axis="y", color=COLOURS["line"], linewidth=0.6, alpha=0.7)
        ax.set_axisbelow(True)
        first, _, rest = curve_words(curve).rpartition(" gained ")
        ax.set_title(f"{first}\ngained {rest}", loc="left", fontsize=9.5, linespacing=1.5)
    return figure
