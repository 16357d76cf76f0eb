"""The results of the convex study for MLflow: R by step, steps to the targets, figures and the page."""

from collections.abc import Mapping
from typing import Any

from pipeline.results.tracked import Results
from pipeline.store.store import Store
from pipeline.studies.base import Finished, page_of
from pipeline.studies.convex.nodes.data_node import ConvexData
from pipeline.studies.convex.nodes.guarantees_node import ConvexGuarantees
from pipeline.studies.convex.nodes.linear_node import LinearPanel

# Algorithms whose curves are metrics; the tables and the page show all algorithms.
CURVES = ("gd", "om", "dmm_datamodels")


def convex_tracked(store: Store, finished: Finished, *, version: str) -> Results:
    """Return the results for the child run of the convex study."""
    metrics: dict[str, float] = {}
    curves: dict[str, dict[int, float]] = {}
    rows: list[dict[str, Any]] = []
    promises: list[dict[str, Any]] = []
    for node, table in finished.values():
        if isinstance(node, LinearPanel):
            found, columns = store.summary(table), store.read(table)
            place = f"linear/{node.place}"
            rows += _steps(place, found)
            metrics[f"deviation_from_theorem_1/{place}"] = found["deviation_from_theorem_1"]
            for name in CURVES:
                curves[f"R/{place}/{name}"] = dict(enumerate(columns[f"full.{name}.best.mean"].tolist()))
        elif isinstance(node, ConvexData):
            for outcome in store.summary(table)["outcomes"]:
                ends = {
                    "R": outcome["share"],
                    "klom": outcome["klom"]["forget"]["p95"],
                    "ulira": outcome["ulira"],
                }
                metrics |= {
                    f"{name}/data/{node.label}/{outcome['label']}": value for name, value in ends.items()
                }
        elif isinstance(node, ConvexGuarantees):
            promises += [
                {**case, "verdict": "broken" if case["verdict"]["is_broken"] else "kept"}
                for case in store.summary(table)["cases"]
            ]
    return Results(
        version=version,
        metrics=metrics,
        curves=curves,
        tables={"steps": rows, "promises": promises},
        **page_of(store, finished),
    )


def _steps(place: str, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each algorithm: its best full-batch step size, and the steps to each target.

    A target is a value of R. The number of steps is None if the algorithm does not reach it.
    """
    return [
        {"panel": place, "algorithm": name, "step_size": found["best_step"]["full"][name]}
        | {f"steps_to_{share}": count for share, count in counts.items()}
        for name, counts in found["steps_to"].items()
    ]
