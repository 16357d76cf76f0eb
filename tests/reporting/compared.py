"""Two experiments invented side by side, with numbers like real ones."""

import dataclasses
from typing import Any

from pipeline.reporting.comparison_content import ComparedSet, Comparison, Entry, Method
from pipeline.reporting.content import Role

ROLES = {"no_op": Role.NOTHING, "dmm": Role.DATAMODEL, "finetune": Role.RIVAL, "oracle_matching": Role.BOUND}
FLOOR = (0.5, 0.7)


def entry(p95: float, spread: float = 0.2, **changes: Any) -> Entry:
    interval = (p95 * (1 - spread), p95 * (1 + spread))
    return Entry(**{"plugin": "plugin", "p95": p95, "interval": interval, "accuracy": 0.95, "fraction": 0.06, "amortised_fraction": 900.06} | changes)


def compared_set(label: str = "coherent", **p95: tuple[float | None, ...]) -> ComparedSet:
    """Return a set whose methods have these P95 in each experiment, None where one lacks the method."""
    values = {"no_op": (10.5, 9.9), "finetune": (9.0, 9.5), "oracle_matching": (0.5, 0.7)} | ({"dmm": (5.0, 1.0)} | p95)
    methods = tuple(
        Method(label=name, role=ROLES.get(name, Role.RIVAL), entries=tuple(None if one is None else entry(one) for one in each))
        for name, each in values.items()
    )
    return ComparedSet(label=label, same_points=True, n_points=(15, 15), floor=FLOOR, oracle_accuracy=(0.94, 0.96), methods=methods)


def comparison(*sets: ComparedSet, **changes: Any) -> Comparison:
    made = Comparison(
        names=("convex", "digits"),
        models=("logistic", "mlp, width 128"),
        n_models=((100, 100), (100, 100)),
        evaluation="variant closed, n bins 20",
        sets=sets or (compared_set(), compared_set("random", dmm=(0.6, 2.0)), compared_set("level", dmm=(1.0, 1.4))),
        differences=(("model.name", ("logistic", "mlp")), ("model.width", ("–", "128"))),
    )
    return dataclasses.replace(made, **changes)
