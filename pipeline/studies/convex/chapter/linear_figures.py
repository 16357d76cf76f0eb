"""Figures of the linear study.

They show R against steps and gradients, why GD stalls, and long stochastic runs to test theorem 2. R is the
share of the squared distance that is left.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import canvas, themed
from pipeline.studies.convex.chapter.chapter_content import LinearContent
from pipeline.studies.convex.chapter.chapter_words import panel_title
from pipeline.studies.convex.chapter.display_names import MODES, algorithm_name
from pipeline.studies.convex.chapter.number_formats import power

_SMALL_LEGEND = {"fontsize": 7.5, "bbox_to_anchor": (0.5, 1.0), "handlelength": 2.2}
# Range of R that is shown. Above it runs have diverged; below it R is rounding.
_SHOWN = (1e-6, 4.0)
GDA = "gda_"
CURVE_STYLES: dict[str, dict[str, Any]] = {
    GDA: {"color": COLOURS["quiet"], "linewidth": 0.8, "alpha": 0.75},
    "omrs": {"color": COLOURS["oracle"], "linewidth": 1.2, "linestyle": (0, (1, 1.5))},
    "dmm_influence": {"color": COLOURS["accent"], "linewidth": 1.2, "linestyle": (0, (1, 1.5))},
    "dmm_datamodels": {"color": COLOURS["accent"], "linewidth": 1.9},
    "gd": {"color": COLOURS["rival"], "linewidth": 2.2},
    "om": {"color": COLOURS["oracle"], "linewidth": 3.2, "alpha": 0.55},
    "dmm_exact": {"color": COLOURS["accent"], "linewidth": 1.3, "linestyle": (0, (4, 2))},
}
THEORY: dict[str, Any] = {
    "color": COLOURS["ink"],
    "linestyle": "none",
    "marker": "o",
    "markersize": 2.6,
    "markeredgewidth": 0,
}


def steps_figure(panels: Sequence[LinearContent]) -> Figure:
    """Return R against steps: a row for each penalty, full batch on the left, batches on the right.

    Dots show theorem 1.
    """
    with themed():
        figure = canvas(9.6, 0.9 + 2.75 * len(panels))
        grid = figure.subplots(len(panels), len(MODES), squeeze=False, sharey=True)
        _room(figure, len(panels))
        for row, panel in zip(grid, panels, strict=True):
            for ax, mode in zip(row, MODES, strict=True):
                times = np.arange(len(panel.curves["step"]))
                _draw(ax, panel, mode, times)
                how = f"of {panel.batch_size}" if mode == "stochastic" else ""
                _frame(
                    ax,
                    f"λ = {panel.penalty:g}, {MODES[mode]} {how}".rstrip(),
                    panel_title(panel, mode),
                    "steps",
                )
            row[0].set_ylabel("R, share of the distance left")
        _legend(figure, grid[0][0], ncols=4, fontsize=8, bbox_to_anchor=(0.52, 1.0), handlelength=2.4)
    return figure


def evaluations_figure(panels: Sequence[LinearContent]) -> Figure:
    """Return R against gradient evaluations, which count the points touched.

    Full batch and batches of each penalty share one axis.
    """
    with themed():
        figure = canvas(9.6, 3.5)
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(0.07, 0.14, 0.985, 0.83, wspace=0.06)
        for ax, panel in zip(axes, panels, strict=True):
            for name in ("gd", "om", "dmm_datamodels"):
                style = CURVE_STYLES[name] | {"linewidth": 1.8, "alpha": 1.0}
                counts = np.arange(len(panel.curves["step"]))
                ax.plot(
                    counts[1:] * panel.findings["n_used"][name],
                    _shown(panel.mean("full", name))[1:],
                    **style,
                    label=f"{algorithm_name(name, short=True)}, full batch",
                )
                few = style | {"linewidth": 1.1, "linestyle": (0, (3, 1.5))}
                ax.plot(
                    counts[1:] * panel.batch_size,
                    _shown(panel.mean("stochastic", name))[1:],
                    **few,
                    label=f"{algorithm_name(name, short=True)}, batches of {panel.batch_size}",
                )
            _frame(ax, f"λ = {panel.penalty:g}", "", "gradient evaluations (points touched)")
        axes[0].set_ylabel("R, share of the distance left")
        _legend(figure, axes[0], **_SMALL_LEGEND, ncols=6, columnspacing=1.2)
    return figure


def stall_figure(panels: Sequence[LinearContent]) -> Figure:
    """Return R of GD and OM, split into the parts within and outside the span of the retained points.

    Outside the span only the penalty pulls GD.
    """
    with themed():
        figure = canvas(9.6, 3.3)
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(0.07, 0.15, 0.985, 0.76, wspace=0.08)
        for ax, panel in zip(axes, panels, strict=True):
            for name in ("gd", "om"):
                total, outside = (panel.curves[f"full.{name}.best.{part}"] for part in ("theory", "outside"))
                colour, called = CURVE_STYLES[name]["color"], algorithm_name(name, short=True)
                times = np.arange(len(total))[1:]
                ax.plot(
                    times,
                    _shown(outside)[1:],
                    color=colour,
                    linewidth=1.9,
                    label=f"{called}: outside the retained span",
                )
                ax.plot(
                    times,
                    _shown(total - outside)[1:],
                    color=colour,
                    linewidth=1.1,
                    linestyle=(0, (1, 1.5)),
                    label=f"{called}: within it",
                )
            at_start = panel.curves["full.gd.best.outside"][0]
            _frame(
                ax,
                f"λ = {panel.penalty:g}",
                f"{100 * at_start:.4g} % of R lies outside the span at first",
                "full-batch steps",
            )
        axes[0].set_ylabel("part of R")
        _legend(figure, axes[0], **_SMALL_LEGEND, ncols=4)
    return figure


def rates_figure(panel: LinearContent) -> Figure:
    """Return a figure of R in the long stochastic runs, with both axes logarithmic.

    On these axes a power of the number of steps is a straight line. R of matching falls below every such
    line.
    """
    rates = panel.findings["rates"]
    times = np.array(rates["curves"]["step"])
    with themed():
        figure = canvas(9.6, 3.3)
        ax = figure.subplots()
        figure.subplots_adjust(0.07, 0.15, 0.985, 0.86)
        ax.plot(
            times,
            _shown(np.array(rates["curves"]["gd"])),
            **CURVE_STYLES["gd"],
            label="SGD, best falling steps",
        )
        ax.plot(
            times,
            _shown(np.array(rates["curves"]["om"])),
            **(CURVE_STYLES["om"] | {"alpha": 1.0, "linewidth": 2.2}),
            label="stochastic OM, constant step",
        )
        ax.plot(
            times,
            _shown(rates["bound"] ** times),
            color=COLOURS["ink"],
            linewidth=1,
            linestyle=(0, (1, 1.5)),
            label="theorem 2, at most (1 − 2ηγ b/n)ᵗ",
        )
        last = times[times >= times[-1] / 10]
        ax.plot(
            last,
            rates["curves"]["gd"][-1] * (last / last[-1]) ** -2.0,
            color=COLOURS["quiet"],
            linewidth=1,
            linestyle="--",
            label="as steep as 1/t²",
        )
        _frame(ax, f"λ = {panel.penalty:g}, batches of {panel.batch_size}", "", "steps")
        ax.set_ylabel("R, mean over draws")
        ax.legend(fontsize=8, loc="lower left")
    return figure


def _draw(ax: Axes, panel: LinearContent, mode: str, times: np.ndarray) -> None:
    """Draw every algorithm at its best step size."""
    for kind, style in CURVE_STYLES.items():
        names = [name for name in panel.algorithms if name == kind or (kind == GDA and name.startswith(GDA))]
        for number, name in enumerate(names):
            label = "GDA" if kind == GDA else algorithm_name(name)
            ax.plot(
                times[1:], _shown(panel.mean(mode, name))[1:], label=label if number == 0 else None, **style
            )
    if mode == "full":
        dots = np.unique(np.geomspace(1, times[-1], 16).astype(int))
        for number, name in enumerate(("gd", "om")):
            ax.plot(
                dots,
                _shown(panel.curves[f"full.{name}.best.theory"])[dots],
                **THEORY,
                label="theorem 1" if number == 0 else None,
            )


def _shown(shares: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return R, with NaN for values outside the figure."""
    return np.where((shares < 3 * _SHOWN[1]) & (shares > _SHOWN[0] / 30), shares, np.nan)


def _frame(ax: Axes, title: str, said: str, along: str) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(*_SHOWN)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.yaxis.set_major_formatter(lambda value, _: power(value))
    ax.minorticks_off()
    ax.set_xlabel(along)
    ax.set_title(f"{title}\n{said}" if said else title, linespacing=1.5)
    ax.grid(axis="y")


def _room(figure: Figure, n_rows: int) -> None:
    height = figure.get_figheight()
    figure.subplots_adjust(
        0.07, 0.5 / height, 0.985, 1 - 1.1 / height, wspace=0.06, hspace=0.5 if n_rows > 1 else 0.3
    )


def _legend(figure: Figure, ax: Axes, **options: Any) -> None:
    """Draw the legend of one panel above all panels."""
    figure.legend(*ax.get_legend_handles_labels(), loc="upper center", **options)
