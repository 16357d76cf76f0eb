"""The results of the convex study as JSON: R of each algorithm, removals on real data, and promises.

R is the share of the squared distance to the retrained minimiser that is left.
"""

from typing import Any

from pipeline.store.store import Store, TableRef
from pipeline.studies.base import Finished
from pipeline.studies.convex.nodes.convex_node import ConvexNode
from pipeline.studies.convex.nodes.data_node import ConvexData
from pipeline.studies.convex.nodes.guarantees_node import ConvexGuarantees
from pipeline.studies.convex.nodes.linear_node import LinearPanel

# Of each curve, the results hold R only after these numbers of steps.
QUOTED_STEPS = (1, 2, 3, 5, 10, 17, 50, 153, 200, 300)
FINDINGS = (
    "stated_step",
    "best_step",
    "steps_to",
    "plateau",
    "earlier",
    "mean_leverage",
    "rates",
    "deviation_from_theorem_1",
)


def convex_results(store: Store, finished: Finished) -> dict[str, Any]:
    """Return R and all findings of the study.

    A panel is one example of the linear study at one penalty. `R` holds the mean of R over draws by panel and
    batch mode, algorithm and step, at the step size that the paper states. `R_sd` holds the standard
    deviation over draws in the same way.
    """
    shares: dict[str, dict[str, dict[str, float]]] = {}
    spreads: dict[str, dict[str, dict[str, float]]] = {}
    panels: dict[str, Any] = {}
    for place, table in tables_of(finished, LinearPanel).items():
        found, columns = store.summary(table), store.read(table)
        panels[place] = {name: found[name] for name in FINDINGS}
        quoted = [step for step in QUOTED_STEPS if step < len(columns["step"])]
        for mode in ("full", "stochastic"):
            for name in found["n_used"]:
                mean, spread = (columns[f"{mode}.{name}.stated.{statistic}"] for statistic in ("mean", "sd"))
                shares.setdefault(f"{place}/{mode}", {})[name] = {
                    str(step): float(mean[step]) for step in quoted
                }
                spreads.setdefault(f"{place}/{mode}", {})[name] = {
                    str(step): float(spread[step]) for step in quoted
                }
    worst = max((panel["deviation_from_theorem_1"] for panel in panels.values()), default=None)
    theirs = {"R": shares, "R_sd": spreads, "worst_deviation_from_theorem_1": worst, "panels": panels}
    return theirs | {
        "data": summaries(store, finished, ConvexData),
        "guarantees": summaries(store, finished, ConvexGuarantees),
    }


def tables_of(finished: Finished, kind: type[ConvexNode]) -> dict[str, TableRef]:
    """Return the finished tables of one kind, by their names in the results."""
    return {node.place: table for node, table in finished.values() if isinstance(node, kind)}


def summaries(store: Store, finished: Finished, kind: type[ConvexNode]) -> dict[str, Any]:
    """Return the summaries of the finished tables of one kind, by their names in the results."""
    return {place: store.summary(table) for place, table in tables_of(finished, kind).items()}
