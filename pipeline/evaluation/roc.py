"""Accuracy and ROC curve of scores that separate two groups of models.

Ties count as if they were broken at random.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FALSE_POSITIVES = 0.01

Positive = Float[np.ndarray, "n_positive n_points"]
Negative = Float[np.ndarray, "n_negative n_points"]
PositiveWeights = Float[np.ndarray, " n_positive"]
NegativeWeights = Float[np.ndarray, " n_negative"]
_Curve = Float[np.ndarray, " n_thresholds"]


class Rates(NamedTuple):
    """How well scores separate the two groups.

    balanced_accuracy is that of classifying by the sign of the score. auc is the area under the ROC curve.
    tpr is the true positive rate at 1 % false positives.
    """

    balanced_accuracy: float
    auc: float
    tpr: float


class Roc:
    """The scores of two groups of models, (n_positive, n_points) and (n_negative, n_points).

    A high score speaks for the positive group. A score may be infinite, but not NaN. Scores are sorted once,
    highest first, because a resample of models changes only the weights of the models.
    """

    def __init__(self, *, positive: Positive, negative: Negative) -> None:
        together = np.concatenate([positive.ravel(), negative.ravel()])
        self._order = np.argsort(-together, kind="stable")
        ordered = together[self._order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self._n_models, self._n_points = (len(positive), len(negative)), positive.shape[1]
        self._right = rightness(positive).mean(axis=1), rightness(-negative).mean(axis=1)

    def rates(
        self, positive: PositiveWeights | None = None, negative: NegativeWeights | None = None
    ) -> Rates:
        """Return the rates with weighted models, or with equal weights.

        The weights of each group are scaled to sum to 1.
        """
        weights = [
            np.ones(n) if given is None else given
            for given, n in zip((positive, negative), self._n_models, strict=True)
        ]
        right = [
            float(np.average(each, weights=weight)) for each, weight in zip(self._right, weights, strict=True)
        ]
        true = self._reached(weights[0], np.zeros(self._n_models[1]))
        false = self._reached(np.zeros(self._n_models[0]), weights[1])
        return Rates(sum(right) / 2, float(np.trapezoid(true, false)), _true_positives(true, false))

    def _reached(self, positive: PositiveWeights, negative: NegativeWeights) -> _Curve:
        """Return the share of the weight whose scores are at least the threshold, for each threshold.

        The thresholds fall, so the share rises from 0 to 1. Each distinct score is a threshold.
        """
        reached = np.cumsum(np.repeat(np.concatenate([positive, negative]), self._n_points)[self._order])
        return np.concatenate([[0.0], reached[self._ends] / reached[-1]])


def rightness(scores: Float[np.ndarray, "n_models n_points"]) -> Float[np.ndarray, "n_models n_points"]:
    """Return 1 where a score is positive, 0.5 where it is 0, and 0 where it is negative."""
    return (1 + np.sign(scores)) / 2


def _true_positives(true: _Curve, false: _Curve) -> float:
    """Return the true positive rate at 1 % false positives.

    It is the rate at the last threshold with at most 1 % false positives, plus a share of the rise to the
    next threshold.
    """
    # The tolerance is for rounding: a sum of equal weights differs from a round figure in its last bits.
    last = int(np.searchsorted(false, FALSE_POSITIVES * (1 + 1e-9), side="right")) - 1
    if last + 1 == len(false):
        return float(true[last])
    share = (FALSE_POSITIVES - false[last]) / (false[last + 1] - false[last])
    return float(true[last] + max(share, 0.0) * (true[last + 1] - true[last]))
