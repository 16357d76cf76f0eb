"""The rows users read: one for each unlearner and forget set, from the summaries of verdicts. The command line, MLflow and the report share them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.unlearning.unlearner import Unlearner


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What the experiment spends: datamodel is the cost of all models it learns from, in trainings of one on all points ("retrainings")."""

    datamodel: float
    n_requests: int
    epochs: int
    n_train: int

    def fraction(self, samples: float) -> float:
        """Return samples used in gradient evaluations as a fraction of one retraining."""
        return samples / (self.epochs * self.n_train)

    def shared(self, unlearner: Unlearner) -> float:
        """Return what one request adds before unlearning begins: its share of the datamodel, or a true oracle."""
        return (self.datamodel / self.n_requests if "effect" in unlearner.needs else 0.0) + (1.0 if "oracle" in unlearner.needs else 0.0)


def result_row(
    *, label: str, unlearner: Unlearner, forget_set: str, verdict: Mapping[str, Any], floor: Mapping[str, Any], spending: Spending
) -> dict[str, Any]:
    """Return one row of the results of a run: P95 KLoM by split, beside the floor's, accuracy and cost."""
    fraction = spending.fraction(verdict["samples"])
    return {
        "unlearner": label,
        "forget_set": forget_set,
        **verdict["p95"],
        "floor": floor["p95"],
        "mean": verdict["mean"],
        "interval": verdict["interval"],
        "mean_interval": verdict["mean_interval"],
        "floor_mean": floor["mean"],
        "accuracy": verdict["accuracy"],
        "oracle_accuracy": verdict["oracle_accuracy"],
        "n_models": verdict["n_models"],
        "n_nonfinite": verdict["n_nonfinite"],
        "n_clipped": verdict["n_clipped"],
        "cost": {
            "samples": verdict["samples"],
            "fraction": fraction,
            "amortised_fraction": fraction + spending.shared(unlearner),
        },
    }
