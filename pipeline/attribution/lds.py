"""LDS, the linear datamodeling score: how well predictions rank unseen subset models."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from pipeline.core.arrays import (
    MOST_RESAMPLES,
    Outputs,
    PerOutput,
    require_array,
    require_count,
    require_floats,
    require_share,
)
from pipeline.core.errors import DataError, ShapeError
from pipeline.core.seeds import generator

# Targets correlated at once: 200 resamples of them are 6 MB.
_CHUNK = 4096
# Every resample may be of one subset alone; of this many, one surely is not.
FEWEST_RESAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class Lds:
    """values (n_scored,): Spearman correlation of each target whose actual outputs vary.

    n_constant targets do not and are left out of mean and interval; n_flat of those that do are predicted not
    to, which scores 0.
    """

    values: PerOutput
    mean: float
    interval: tuple[float, float]
    n_constant: int
    n_flat: int


def lds(
    *,
    predicted: Float[np.ndarray, "..."],
    actual: Float[np.ndarray, "..."],
    n_resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Lds:
    """Return the Spearman correlation over subsets of predicted with actual outputs, both (n_subsets, n_targets), and its mean over targets.

    Positive means agreement; equal outputs share their average rank, and a prediction that never varies ranks
    nothing: 0. The interval of the mean is the percentile bootstrap over subsets, ranks held as they are.
    Raises ShapeError if the shapes differ, DataError on non-finite outputs or if no actual output varies,
    ConfigError on fewer than 20 resamples or a level outside (0, 1). Source: Park et al. 2023 (TRAK), section
    3.
    """
    from scipy.stats import rankdata  # a second to import, for whoever only looks at what there is

    require_count("n_resamples", n_resamples, FEWEST_RESAMPLES, MOST_RESAMPLES)
    require_share("level", level)
    for name, outputs in (("predicted", predicted), ("actual", actual)):
        require_array(name, outputs, kinds="iuf")
    varies = _varying(predicted, actual)
    n_subsets = len(actual)
    drawn = generator("lds", seed).multinomial(n_subsets, np.full(n_subsets, 1 / n_subsets), n_resamples)
    weights = np.concatenate([np.ones((1, n_subsets)), drawn]) / n_subsets
    values, sums, n_defined = [], np.zeros(n_resamples), np.zeros(n_resamples)
    for start in range(0, int(varies.sum()), _CHUNK):
        targets = np.flatnonzero(varies)[start : start + _CHUNK]
        whole, *resampled = _correlations(
            rankdata(predicted[:, targets], axis=0), rankdata(actual[:, targets], axis=0), weights
        )
        values.append(whole)
        sums += np.nansum(resampled, axis=1)
        n_defined += np.isfinite(resampled).sum(axis=1)
    means = sums[n_defined > 0] / n_defined[n_defined > 0]
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    scores = np.concatenate(values)
    n_flat = int((~_vary(predicted[:, varies])).sum())
    return Lds(
        values=scores,
        mean=float(scores.mean()),
        interval=(float(low), float(high)),
        n_constant=int((~varies).sum()),
        n_flat=n_flat,
    )


def explained(predicted: Outputs, actual: Outputs) -> PerOutput:
    """Return R², the share of the variance of actual outputs (n_subsets, n_targets) over subsets that predicted ones explain; 0 where nothing varies.

    An offset between both counts as error. What its seed adds to a single model, nothing explains.
    """
    for name, outputs in (("predicted", predicted), ("actual", actual)):
        require_floats(name, outputs, ndim=2)
    if predicted.shape != actual.shape:
        raise ShapeError(f"predicted {predicted.shape} and actual {actual.shape} must have the same shape")
    total = np.square(actual - actual.mean(axis=0), dtype=np.float64).sum(axis=0)
    error = np.square(predicted - actual, dtype=np.float64).sum(axis=0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1.0), 0.0)


def _varying(predicted: np.ndarray, actual: np.ndarray) -> Bool[np.ndarray, " n_targets"]:
    """Return which targets' actual outputs vary over the subsets, once the shapes and values of both are found to be sound."""
    if predicted.shape != actual.shape or predicted.ndim != 2 or len(predicted) < 3:
        raise ShapeError(
            f"predicted {predicted.shape} and actual {actual.shape} must both be (n_subsets, n_targets) with "
            "at least 3 subsets"
        )
    if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
        raise DataError("outputs hold NaN or infinity, which have no rank; leave those models or targets out")
    varies = _vary(actual)
    if not varies.any():
        raise DataError(
            f"all {actual.shape[1]} targets are constant over the subsets, so nothing can be ranked; use "
            "subsets that differ"
        )
    return np.asarray(varies)


def _vary(outputs: np.ndarray) -> Bool[np.ndarray, " n_targets"]:
    """Return which targets have more than one value.

    No difference is taken, since that of two large numbers may overflow.
    """
    return np.asarray(outputs.max(axis=0) > outputs.min(axis=0))


def _correlations(
    x: Outputs, y: Outputs, weights: Float[np.ndarray, "n_weights n_subsets"]
) -> Float[np.ndarray, "n_weights n_targets"]:
    """Return Pearson correlations under each set of weights, from five matrix products.

    0 where x is constant, NaN where y is.
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    mean_x, mean_y = weights @ x, weights @ y
    spread_x, spread_y = weights @ x**2 - mean_x**2, weights @ y**2 - mean_y**2
    # Ranks of a resample that vary at all do so by (n - 1) / n² at least, far more than rounding.
    has_x, has_y = spread_x > 1e-3 / len(x), spread_y > 1e-3 / len(x)
    spread = np.where(has_x & has_y, spread_x * spread_y, 1.0)
    found = np.clip((weights @ (x * y) - mean_x * mean_y) / np.sqrt(spread), -1, 1)
    return np.where(has_y, np.where(has_x, found, 0.0), np.nan)
