"""Correction of effects towards those of a guide, another estimator that needs no subset models.

The effects of a datamodel are right on average but noisy. Those of the guide, which follows gradients of
trained models, have no such noise, but are wrong where a set is large or mislabelled. So the factor by which
the guide is multiplied, and the trust in the result, are learnt for each set from all outputs at once. This
is empirical Bayes with the guide as prior mean (James and Stein 1961, Morris 1983). Effects move towards the
guide only as far as their own noise explains the difference. Where both differ by more than noise, as on
mislabelled points, effects hardly move.
"""

import numpy as np
from jaxtyping import Bool, Float

from pipeline.attribution.datamodel import Effect
from pipeline.core.arrays import PerOutput
from pipeline.core.errors import ShapeError

# Rounds in which the factor of the guide and the variance around the guide are estimated in turn. The shares
# of the differences that are kept settle to 0.01 in about ten rounds.
ROUNDS = 20
# The least variance around the guide, as a share of the mean noise. With less, a chance agreement would count
# as certainty.
_LEAST = 0.1


def guided(
    predicted: Effect,
    guide: Float[np.ndarray, " _"],
    *,
    forgotten: Bool[np.ndarray, " _"],
    curvature: float = 0.0,
) -> Effect:
    """Return the effect that combines a prediction and a guide (n_outputs,).

    forgotten marks the outputs of forgotten points. Their effects and those of all other points vary
    differently, so they form two groups. The effects of each group are taken as normal around c × guide with
    variance v; c and v are learnt from the group. The noise of the prediction is its squared standard error
    less the square of `curvature` × effect, which is not noise and is added again at the end. Raises
    ShapeError if the arrays do not have the same shape.
    """
    if guide.shape != predicted.mean.shape or forgotten.shape != guide.shape:
        raise ShapeError(
            f"predicted effects have shape {predicted.mean.shape}, but the guide has {guide.shape}; take "
            "both from one set"
        )
    noise = np.maximum(
        np.square(predicted.standard_error, dtype=np.float64) - (curvature * predicted.mean) ** 2, 0.0
    )
    mean, variance = predicted.mean.astype(np.float64), noise.copy()
    for group in (forgotten, ~forgotten):
        if noise[group].any():
            mean[group], variance[group] = _drawn(mean[group], guide[group].astype(np.float64), noise[group])
    return Effect(mean, np.sqrt(variance + (curvature * mean) ** 2))


def _drawn(mean: PerOutput, guide: PerOutput, noise: PerOutput) -> tuple[PerOutput, PerOutput]:
    """Return posterior means and variances of one group of outputs.

    mean and noise: the predicted effects and their noise variances. In the code, `stretch` is the c of
    `guided` and `variance` the v.
    """
    least = _LEAST * float(noise.mean())
    variance, stretch = max(float((mean**2 - noise).mean()), least), 0.0
    for _ in range(ROUNDS):
        precision = 1 / (variance + noise)
        power = float((precision * guide**2).sum())
        # A guide that points in the opposite direction is ignored.
        stretch = max(float((precision * guide * mean).sum()) / power, 0.0) if power > 0 else 0.0
        variance = max(
            float((precision * ((mean - stretch * guide) ** 2 - noise)).sum() / precision.sum()), least
        )
    kept = variance / (variance + noise)
    return stretch * guide + kept * (mean - stretch * guide), kept * noise
