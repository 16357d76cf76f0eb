"""The linear datamodeling score (LDS): how well predictions rank unseen subset models."""

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

# Number of targets whose correlations are computed at once. Those of 200 resamples take 6 MB.
_CHUNK = 4096
# The least number of resamples. A resample that repeats one single subset has no correlation. Among this
# many, at least one practically always holds two different subsets.
FEWEST_RESAMPLES = 20


@dataclass(frozen=True, kw_only=True)
class Lds:
    """The LDS of each target, and its mean.

    values (n_scored,): the Spearman correlation of each target whose actual outputs vary. mean and interval:
    the mean of values, and a confidence interval for it. n_constant: the number of targets whose actual
    outputs do not vary; values leave them out. n_flat: the number of targets whose actual outputs vary but
    whose predictions do not; they score 0.
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
    """Return Spearman correlations over subsets of predicted and actual outputs, and their mean over targets.

    predicted and actual are (n_subsets, n_targets). Positive values mean agreement. Equal outputs share their
    average rank. A prediction that never varies ranks nothing and scores 0. The interval of the mean is the
    percentile bootstrap over subsets, with the ranks held fixed. Raises ShapeError if the shapes differ,
    DataError on non-finite outputs or if no actual output varies, ConfigError on fewer than 20 resamples or a
    level outside (0, 1). Source: Park et al. 2023 (TRAK), section 3.
    """
    # Imported here, because the import takes a second that most commands need not spend.
    from scipy.stats import rankdata

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
    """Return R², the share of the variance of actual outputs over subsets that predicted outputs explain.

    Both are (n_subsets, n_targets). R² is 0 where the actual outputs do not vary. An offset between predicted
    and actual outputs counts as error. R² stays below 1 even for the best prediction, because each model's
    seed adds a part to its outputs that no mask explains.
    """
    for name, outputs in (("predicted", predicted), ("actual", actual)):
        require_floats(name, outputs, ndim=2)
    if predicted.shape != actual.shape:
        raise ShapeError(f"predicted {predicted.shape} and actual {actual.shape} must have the same shape")
    total = np.square(actual - actual.mean(axis=0), dtype=np.float64).sum(axis=0)
    error = np.square(predicted - actual, dtype=np.float64).sum(axis=0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1.0), 0.0)


def _varying(predicted: np.ndarray, actual: np.ndarray) -> Bool[np.ndarray, " n_targets"]:
    """Return which targets have actual outputs that vary over the subsets.

    Raises ShapeError or DataError if the shapes or values of predicted and actual are not valid.
    """
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

    Values are compared, not subtracted, because the difference of two large numbers may overflow.
    """
    return np.asarray(outputs.max(axis=0) > outputs.min(axis=0))


def _correlations(
    x: Outputs, y: Outputs, weights: Float[np.ndarray, "n_weights n_subsets"]
) -> Float[np.ndarray, "n_weights n_targets"]:
    """Return Pearson correlations under each set of weights, computed with five matrix products.

    They are 0 where x is constant, NaN where y is constant.
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    mean_x, mean_y = weights @ x, weights @ y
    spread_x, spread_y = weights @ x**2 - mean_x**2, weights @ y**2 - mean_y**2
    # If the ranks of a resample vary at all, their variance is at least (n - 1) / n². The bound lies below
    # this and far above rounding errors.
    has_x, has_y = spread_x > 1e-3 / len(x), spread_y > 1e-3 / len(x)
    spread = np.where(has_x & has_y, spread_x * spread_y, 1.0)
    found = np.clip((weights @ (x * y) - mean_x * mean_y) / np.sqrt(spread), -1, 1)
    return np.where(has_y, np.where(has_x, found, 0.0), np.nan)
