"""Correction of a datamodel's prediction by a few pairs of models, with and without one forget set.

The models of a pair share their seed and all other points, so most of their randomness cancels. On digits the
difference of a full model and its retraining varies 5 to 14 times less than that of two models with different
seeds. Pairs are right on average, but few. Datamodels are precise for most outputs, but wrong by several
standard errors where they extrapolate. The result is therefore a mean of both, weighted by their estimated
errors.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from pipeline.attribution.datamodel import Effect
from pipeline.core.arrays import PerOutput
from pipeline.core.errors import ShapeError

# The variance of an output over its own few pairs is averaged with the mean variance of a group of outputs,
# which counts as much as this many additional pairs.
COMMON_PAIRS = 4


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The change of outputs over n_pairs pairs when the forget set is left out.

    mean (n_outputs,): the mean change over the pairs. variance (n_outputs,): the variance of the change from
    pair to pair.
    """

    mean: PerOutput
    variance: PerOutput
    n_pairs: int

    def squared_error(self, forgotten: Bool[np.ndarray, " n_outputs"]) -> PerOutput:
        """Return the squared standard error of the mean, (n_outputs,).

        forgotten marks the outputs of forgotten points. Two pairs say little about a variance. So each
        variance is shrunk towards the mean of its group, forgotten points or all others, because the effects
        of the two groups vary differently (moderated variances, Smyth 2004).
        """
        common = np.zeros_like(self.variance)
        for group in (forgotten, ~forgotten):
            common[group] = self.variance[group].mean() if group.any() else 0.0
        freedom = self.n_pairs - 1
        return (freedom * self.variance + COMMON_PAIRS * common) / (freedom + COMMON_PAIRS) / self.n_pairs


def contrast(*, kept: Float[np.ndarray, "..."], left_out: Float[np.ndarray, "..."]) -> Contrast:
    """Return the contrast of models that left the forget set out with models that kept it.

    Both arrays are (n_pairs, n_outputs), in the order of pairs. Raises ShapeError unless both have the same
    shape and at least two pairs.
    """
    if kept.shape != left_out.shape or len(kept) < 2:
        raise ShapeError(
            f"outputs have shape {kept.shape} with the forget set and {left_out.shape} without it; "
            "expected two or more pairs of as many outputs"
        )
    difference = left_out.astype(np.float64) - kept
    return Contrast(
        mean=difference.mean(axis=0), variance=difference.var(axis=0, ddof=1), n_pairs=len(difference)
    )


def combined(predicted: Effect, seen: Contrast, *, forgotten: Bool[np.ndarray, " n_outputs"]) -> Effect:
    """Return the mean of a prediction and of pairs, weighted by precision, and its standard error.

    The squared error of the prediction is estimated by its mean squared distance to the pairs, less the
    variance of the pairs, and is at least the mean of its squared standard errors. With one error for all
    outputs this is the positive-part estimator of James and Stein (1961) towards the prediction. Half of the
    squared error is distributed over outputs in proportion to their squared standard errors, and half evenly.
    The even half stands for errors outside the subsets that the datamodel has seen, which its standard errors
    do not cover.
    """
    chance = seen.squared_error(forgotten)
    claimed = np.square(np.nan_to_num(predicted.standard_error), dtype=np.float64)
    distance = seen.mean - predicted.mean
    error = max(float((distance**2 - chance).mean()), float(claimed.mean()))
    spread = error * (1 + _relative(claimed)) / 2
    weight = np.divide(spread, spread + chance, out=np.zeros_like(spread), where=spread + chance > 0)
    return Effect(predicted.mean + weight * distance, np.sqrt(weight * chance))


def _relative(claimed: PerOutput) -> Float[np.ndarray, " n_outputs"]:
    """Return squared standard errors divided by their mean.

    If all are 0 or unknown, every output gets 1: the prediction counts as equally wrong everywhere.
    """
    mean = claimed.mean()
    return claimed / mean if mean > 0 else np.ones_like(claimed)
