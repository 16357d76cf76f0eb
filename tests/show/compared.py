"""Two invented experiments side by side, with realistic numbers."""

import dataclasses
from typing import Any

from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores
from pipeline.results.comparison_content import ComparedSet, Comparison, Entry, Method
from pipeline.results.report_content import Role

ROLES = {"no_op": Role.NOTHING, "dmm": Role.DATAMODEL, "finetune": Role.RIVAL, "oracle_matching": Role.BOUND}
FLOOR = (0.5, 0.7)
JUDGES: dict[str, Judge] = {"klom": KlomJudge(), "accuracy": AccuracyJudge()}


def scores_of(
    p95: float, floor: float, accuracy: float = 0.95, spread: float = 0.2, n_nonfinite: int = 0
) -> dict[str, Scores]:
    interval = (p95 * (1 - spread), p95 * (1 + spread))
    klom = Score(statistic="p95", split="forget", value=p95, interval=interval, reference=floor, unit="nats")
    right = Score(
        statistic="accuracy", split="forget", value=accuracy, reference=0.94, better="nearer", unit="fraction"
    )
    return {"klom": Scores(rows=(klom,), counts={NONFINITE: n_nonfinite}), "accuracy": Scores(rows=(right,))}


def entry(p95: float, floor: float = 0.5, n_nonfinite: int = 0, **changes: Any) -> Entry:
    scores = scores_of(p95, floor, n_nonfinite=n_nonfinite)
    return Entry(
        **{"plugin": "plugin", "scores": scores, "fraction": 0.06, "amortised_fraction": 900.06} | changes
    )


def compared_set(label: str = "coherent", **p95: tuple[float | None, ...]) -> ComparedSet:
    """Return a set whose methods have these P95 in each experiment, None where one lacks the method."""
    values = {"no_op": (10.5, 9.9), "finetune": (9.0, 9.5), "oracle_matching": (0.5, 0.7)} | (
        {"dmm": (5.0, 1.0)} | p95
    )
    methods = tuple(
        Method(
            label=name,
            role=ROLES.get(name, Role.RIVAL),
            entries=tuple(
                None if one is None else entry(one, floor) for one, floor in zip(each, FLOOR, strict=True)
            ),
        )
        for name, each in values.items()
    )
    floors = tuple(scores_of(floor, floor) for floor in FLOOR)
    return ComparedSet(label=label, same_points=True, n_points=(15, 15), floor=floors, methods=methods)


def comparison(*sets: ComparedSet, **changes: Any) -> Comparison:
    made = Comparison(
        names=("convex", "digits"),
        models=("logistic", "mlp, width 128"),
        n_models=((100, 100), (100, 100)),
        judges=JUDGES,
        judged="klom, variant closed, n bins 20; accuracy",
        sets=sets
        or (compared_set(), compared_set("random", dmm=(0.6, 2.0)), compared_set("level", dmm=(1.0, 1.4))),
        differences=(("model.name", ("logistic", "mlp")), ("model.width", ("–", "128"))),
    )
    return dataclasses.replace(made, **changes)
