"""Verdicts as nodes: how far the unlearned models are from oracles, point by point and split by split."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool
from pydantic import model_validator

from pipeline.core.arrays import MOST_RESAMPLES, Indices
from pipeline.core.neutral import setting
from pipeline.core.registry import Plugin, Settings, identity
from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.klom import MOST_BINS, Variant, check_rule, klom, summary
from pipeline.runtime.store import Shard
from pipeline.stages.child_run import ChildRun, child_of_method
from pipeline.stages.layout import Layout, read_judgements
from pipeline.stages.node import Node, Parent, Work

SPLITS = ("forget", "retain", "validation")
# The method of a verdict on a second group of oracles: no unlearner may have this label.
FLOOR = "floor"


class Evaluation(Settings):
    """How verdicts are reached: the variant of KLoM, its bins and clip, and the resamples behind each interval."""

    variant: Variant = setting(neutral="closed")
    n_bins: int = setting(neutral=20, ge=2, le=MOST_BINS)
    clip: float = setting(neutral=100.0, gt=0)
    n_resamples: int = setting(neutral=200, ge=20, le=MOST_RESAMPLES)

    @model_validator(mode="after")
    def _check(self) -> "Evaluation":
        check_rule(self.variant, self.n_bins, self.clip)
        return self


@dataclass(frozen=True, kw_only=True)
class Verdict(Node):
    """KLoM of a judged population (unlearned models, or independent oracles for the noise floor) against the oracles of a forget set.

    method is the label of the unlearner, FLOOR for the noise floor.
    """

    stage: ClassVar[str] = "evaluate"
    title: ClassVar[str] = "judge (KLoM)"
    entry: ClassVar[str] = "evaluate"
    unit: ClassVar[str] = "verdicts"

    forget_set: str
    method: str
    evaluation: Evaluation
    layout: Layout
    judged_key: str
    oracle_key: str
    forget_key: str
    counts_samples: bool

    @property
    def group(self) -> str:
        """See Node."""
        return f"{self.stage}/{self.method}"

    @property
    def child(self) -> ChildRun:
        """See Node."""
        return child_of_method(self.method, self.forget_set)

    def settings(self) -> dict[str, Any]:
        """See Node."""
        return {"evaluation": identity(self.evaluation), "layout": identity(self.layout)}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return ()

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"judged": Parent(self.judged_key), "oracle": Parent(self.oracle_key), "forget": Parent(self.forget_key, "content")}

    def compute(self, work: Work) -> Shard:
        """Judge: rows are points; the summary holds what tables and reports show."""
        labels = work.examples.labels
        judged, judged_correct = read_judgements(work.store, work.inputs["judged"], self.layout, labels)
        oracle, oracle_correct = read_judgements(work.store, work.inputs["oracle"], self.layout, labels)
        groups = split_ids(work.read("forget")["index"], work.examples.n_train, len(labels))
        result = klom(unlearned=judged, oracle=oracle, variant=self.evaluation.variant, n_bins=self.evaluation.n_bins, clip=self.evaluation.clip)
        split = {name: summary(result.values[ids]) for name, ids in groups.items()}
        interval = klom_interval(
            unlearned=judged,
            oracle=oracle,
            groups=groups,
            variant=self.evaluation.variant,
            n_bins=self.evaluation.n_bins,
            clip=self.evaluation.clip,
            n_resamples=self.evaluation.n_resamples,
        )
        about = {
            "p95": {name: split[name]["p95"] for name in SPLITS},
            "mean": {name: split[name]["mean"] for name in SPLITS},
            "interval": {name: list(interval[name]["p95"]) for name in SPLITS},
            "mean_interval": {name: list(interval[name]["mean"]) for name in SPLITS},
            "accuracy": _accuracies(judged_correct, groups),
            "oracle_accuracy": _accuracies(oracle_correct, groups),
            "n_models": [len(judged), len(oracle)],
            "n_nonfinite": int(np.sum(result.n_nonfinite)),
            "n_clipped": int(np.sum(result.n_clipped)),
            "samples": float(work.read("judged", ["samples"])["samples"].mean()) if self.counts_samples else 0.0,
        }
        return Shard(columns={"klom": result.values, "nonfinite": np.asarray(result.n_nonfinite)}, summary=about)


def split_ids(forget: Indices, n_train: int, n_points: int) -> dict[str, Indices]:
    """Return the ids of the three splits that a verdict is about."""
    return {"forget": forget, "retain": np.setdiff1d(np.arange(n_train), forget), "validation": np.arange(n_train, n_points)}


def _accuracies(correct: Bool[np.ndarray, "n_models n_points"], groups: dict[str, Indices]) -> dict[str, float]:
    return {name: float(correct[:, ids].mean()) for name, ids in groups.items()}
