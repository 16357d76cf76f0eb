"""LDS, the linear datamodeling score: how well predictions rank unseen subset models."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from pipeline.core.arrays import Outputs, PerOutput
from pipeline.core.errors import DataError, ShapeError
from pipeline.core.seeds import generator


@dataclass(frozen=True, kw_only=True)
class Lds:
    """values (n_scored,): Spearman correlation of each target that varies; n_constant targets do not and are left out of mean and interval."""

    values: PerOutput
    mean: float
    interval: tuple[float, float]
    n_constant: int


def lds(*, predicted: Outputs, actual: Outputs, n_resamples: int = 200, level: float = 0.95, seed: int = 0) -> Lds:
    """Return the Spearman correlation over subsets of predicted with actual outputs, both (n_subsets, n_targets), and its mean over targets.

    Positive means agreement. The interval of the mean is the percentile bootstrap over subsets, ranks held as they are. Raises ShapeError
    if the shapes differ, DataError on non-finite outputs or if no target varies. Source: Park et al. 2023 (TRAK), section 3.
    """
    if predicted.shape != actual.shape or predicted.ndim != 2 or len(predicted) < 3:
        raise ShapeError(f"predicted {predicted.shape} and actual {actual.shape} must both be (n_subsets, n_targets) with at least 3 subsets")
    if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
        raise DataError("outputs hold NaN or infinity, which have no rank; leave those models or targets out")
    varies = (np.ptp(predicted, axis=0) > 0) & (np.ptp(actual, axis=0) > 0)
    if not varies.any():
        raise DataError(f"all {actual.shape[1]} targets are constant over the subsets, so nothing can be ranked; use subsets that differ")
    expected, seen = (rankdata(outputs[:, varies], axis=0) for outputs in (predicted, actual))
    uniform = np.full((1, len(actual)), 1 / len(actual))
    values = _correlations(expected, seen, uniform)[0]
    rng = generator("lds", seed)
    weights = rng.multinomial(len(actual), uniform[0], n_resamples) / len(actual)
    means = np.nanmean(_correlations(expected, seen, weights), axis=1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Lds(values=values, mean=float(values.mean()), interval=(float(low), float(high)), n_constant=int((~varies).sum()))


def _correlations(x: Outputs, y: Outputs, weights: Float[np.ndarray, "n_weights n_subsets"]) -> Float[np.ndarray, "n_weights n_targets"]:
    """Return Pearson correlations under each set of weights, from five matrix products; NaN where a resample is constant."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    mean_x, mean_y = weights @ x, weights @ y
    spread = (weights @ x**2 - mean_x**2) * (weights @ y**2 - mean_y**2)
    return (weights @ (x * y) - mean_x * mean_y) / np.sqrt(np.where(spread > 1e-9, spread, np.nan))
