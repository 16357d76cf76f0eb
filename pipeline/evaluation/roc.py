"""What a score tells of two worlds.

Accuracy at its sign, the area below the ROC curve, true positives at few false ones; ties are drawn at
random.

Scores are kept in falling order, so that each resample of models weighs them anew without sorting.
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
    """Balanced accuracy at a score's sign, the area below the curve, and the true positives at 1 % false ones."""

    balanced_accuracy: float
    auc: float
    tpr: float


class Roc:
    """The scores of two worlds' models, (n_positive, n_points) and (n_negative, n_points).

    High ones speak for the first; infinity is a score, NaN is not.
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
        """Return the rates with the models of each world weighed, or all alike.

        Each world's weights are made to sum to 1.
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
        """Return the share of the weights at or above each threshold, from none to all."""
        reached = np.cumsum(np.repeat(np.concatenate([positive, negative]), self._n_points)[self._order])
        return np.concatenate([[0.0], reached[self._ends] / reached[-1]])


def rightness(scores: Float[np.ndarray, "n_models n_points"]) -> Float[np.ndarray, "n_models n_points"]:
    """Return 1 where a score is positive, one half where it is 0."""
    return (1 + np.sign(scores)) / 2


def _true_positives(true: _Curve, false: _Curve) -> float:
    """Return true positives at 1 % false ones.

    Those of the last threshold that has no more, and a share of the next tie.
    """
    # Sums of equal weights miss round figures by their last bits.
    last = int(np.searchsorted(false, FALSE_POSITIVES * (1 + 1e-9), side="right")) - 1
    if last + 1 == len(false):
        return float(true[last])
    share = (FALSE_POSITIVES - false[last]) / (false[last + 1] - false[last])
    return float(true[last] + max(share, 0.0) * (true[last + 1] - true[last]))
