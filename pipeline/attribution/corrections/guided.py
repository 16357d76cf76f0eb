"""Effects drawn towards those of a guide, another estimator that needs no subset models, as far as their own noise keeps the two apart.

A datamodel is right on average and noisy; steps of trained models have no such noise, and are wrong where a
set is large or mislabelled. So how far the guide can be trusted, and by how much it must be stretched, is
learnt for each set from all outputs at once: empirical Bayes with the guide as prior mean (James and Stein
1961, Morris 1983). Where both disagree by more than noise, as on mislabelled points, hardly anything moves.
"""

import numpy as np
from jaxtyping import Bool, Float

from pipeline.attribution.datamodel import Effect
from pipeline.core.arrays import PerOutput
from pipeline.core.errors import ShapeError

# Rounds in which stretch and variance are found from each other; the shares kept settle to .01 in about ten.
ROUNDS = 20
# The least variance about the guide, as a share of the mean noise: with less, a lucky agreement would pass
# for certainty.
_LEAST = 0.1


def guided(
    predicted: Effect,
    guide: Float[np.ndarray, " _"],
    *,
    forgotten: Bool[np.ndarray, " _"],
    curvature: float = 0.0,
) -> Effect:
    """Return what a prediction and a guide (n_outputs,) make likely together.

    Raises ShapeError if they are of different outputs.

    The outputs of forgotten points and all others, whose effects vary unlike, are each taken to vary normally
    about c × guide, with a variance v of their own; the noise of the prediction is its squared standard error
    less `curvature` of it, which is no noise and is added again.
    """
    if guide.shape != predicted.mean.shape or forgotten.shape != guide.shape:
        raise ShapeError(
            f"effects are predicted of {predicted.mean.shape}, guided on {guide.shape} outputs; take both "
            "from one set"
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
    """Return posterior means and variances of one group of outputs."""
    least = _LEAST * float(noise.mean())
    variance, stretch = max(float((mean**2 - noise).mean()), least), 0.0
    for _ in range(ROUNDS):
        precision = 1 / (variance + noise)
        power = float((precision * guide**2).sum())
        # A guide that points the other way is none.
        stretch = max(float((precision * guide * mean).sum()) / power, 0.0) if power > 0 else 0.0
        variance = max(
            float((precision * ((mean - stretch * guide) ** 2 - noise)).sum() / precision.sum()), least
        )
    kept = variance / (variance + noise)
    return stretch * guide + kept * (mean - stretch * guide), kept * noise
