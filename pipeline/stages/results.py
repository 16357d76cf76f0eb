"""The rows users read: one for each unlearner and forget set, from the summaries of verdicts. The command line, MLflow and the report share them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.unlearning.unlearner import Unlearner


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What the experiment spends before unlearning, in trainings of one model on all points ("retrainings").

    datamodel is the cost of all models that effects are learnt from, which n_requests share; focused that of the models trained for one request
    alone. n_models are to forget in each request.
    """

    datamodel: float
    focused: float
    n_requests: int
    n_models: int
    epochs: int
    n_train: int

    def fraction(self, samples: float) -> float:
        """Return samples used in gradient evaluations as a fraction of one retraining."""
        return samples / (self.epochs * self.n_train)

    def shared(self, unlearner: Unlearner) -> float:
        """Return what one request adds before unlearning begins: its share of the datamodel and its focused models, or a true oracle."""
        effects = self.datamodel / self.n_requests + self.focused if "effect" in unlearner.needs else 0.0
        return effects + (1.0 if "oracle" in unlearner.needs else 0.0)

    def break_even(self, n_models: int) -> float | None:
        """Return from how many requests on, each for n_models models, all this costs less than to retrain them; None if it never does.

        What moving the weights of each model costs, a few hundredths of a retraining, comes on top.
        """
        return self.datamodel / (n_models - self.focused) if n_models > self.focused else None


def bounds_of(unlearners: Mapping[str, Unlearner]) -> list[str]:
    """Return the labels of unlearners that need true oracles: no method that a user has, so never marked as the best."""
    return [label for label, unlearner in unlearners.items() if "oracle" in unlearner.needs]


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
