"""The figure of guarantees: true positive rate of the strongest attack against its false positive rate.

The largest true positive rate that the promise allows is drawn too.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import canvas, themed
from pipeline.studies.convex.chapter.chapter_content import CaseContent, GuaranteeContent
from pipeline.studies.convex.chapter.number_formats import power, share_left

KEPT: tuple[dict[str, Any], ...] = (
    {"color": COLOURS["oracle"], "linewidth": 2.6},
    {"color": COLOURS["accent"], "linewidth": 1.8},
)
BROKEN: tuple[dict[str, Any], ...] = (
    {"color": COLOURS["flipped"], "linewidth": 1.7},
    # Two curves that are 1 everywhere overlap: the second is visible through the gaps of the third.
    {"color": COLOURS["rival"], "linewidth": 2.6, "alpha": 0.75},
    {"color": COLOURS["ink"], "linewidth": 1.5, "linestyle": (0, (2, 3))},
)


def guarantee_figure(content: GuaranteeContent) -> Figure:
    """Return a figure with a panel for each method, on logarithmic axes; a promise allows the shaded area."""
    methods = content.methods()
    with themed():
        figure = canvas(9.6, 4.9)
        axes = figure.subplots(1, len(methods), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(0.075, 0.335, 0.985, 0.87, wspace=0.08)
        for ax, (method, cases) in zip(axes, methods.items(), strict=True):
            _promise(ax, content)
            _draw(ax, cases)
            _frame(ax, method, cases, float(cases[0].fpr[0]))
        axes[0].set_ylabel("unlearned models recognised (TPR)")
    return figure


def _promise(ax: Axes, content: GuaranteeContent) -> None:
    epsilon, delta = content.facts["epsilon"], content.facts["delta"]
    rates = np.geomspace(1e-5, 1, 300)
    allowed = np.minimum(1, np.exp(epsilon) * rates + delta)
    ax.fill_between(rates, 1e-5, allowed, color=COLOURS["oracle"], alpha=0.09, linewidth=0)
    ax.plot(
        rates,
        allowed,
        color=COLOURS["ink"],
        linewidth=1.4,
        label=f"promised: TPR ≤ exp(ε)·FPR + δ, with ε = {epsilon:g} and δ = {delta:g}",
    )
    ax.plot(rates, rates, color=COLOURS["quiet"], linewidth=0.9, linestyle=(0, (1, 2)))
    ax.annotate(
        "guessing", (0.25, 0.25), (4, -10), textcoords="offset points", fontsize=7.5, color=COLOURS["muted"]
    )


def _draw(ax: Axes, cases: Sequence[CaseContent]) -> None:
    kept, broken = cycle(KEPT), cycle(BROKEN)
    for case in cases:
        style = next(kept if case.told["holds"] else broken)
        shown = np.where(case.tpr > 0, case.tpr, np.nan)
        ax.plot(
            case.fpr,
            shown,
            **style,
            label=(
                f"{case.told['situation']}: {'kept' if not case.told['verdict']['is_broken'] else 'broken'}"
            ),
            zorder=3,
        )


def _frame(ax: Axes, method: str, cases: Sequence[CaseContent], least: float) -> None:
    ax.set(xscale="log", yscale="log", xlim=(least, 1.2), ylim=(least, 1.2))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: power(value))
    ax.minorticks_off()
    first = cases[0].told
    said = (
        f"noise hides a difference of {share_left(first['assumed'])}; there was {share_left(first['actual'])}"
    )
    ax.set_title(f"{method[0].upper()}{method[1:]}\n{said}", linespacing=1.5)
    ax.set_xlabel("retrained models taken for unlearned (FPR)")
    ax.grid()
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(-0.02, -0.17), labelspacing=0.4, handlelength=2.6)
