"""Prior variances of the weights of a datamodel, learnt from the scouts' views of the points.

The weight of a training point in an output tends to be large if the point was hard and looks like the point
of the output. How much each property matters differs between data sets. So it is learnt from marginal
weights, those of regressions on one training point alone, of all pairs of points at once. Their squares, less
their known noise, are unbiased estimates of the variances.
"""

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices
from pipeline.data.scout_views import Views

PerPair = Float[np.ndarray, "n_train n_chosen"]

# The least difficulty, in units of the mean, so that points that models find easy still count for something.
_EASIEST = 0.03
# The most steps of the iteration that learns the prior, and the step size below which it ends; it takes about
# 15 steps.
_MOST_STEPS, SMALLEST_STEP = 50, 1e-4
# Bounds on the logarithm of a variance, in units of an output's variance. A variance at the lower bound has
# the same effect as zero, and one at the upper bound the same as no limit.
_SMALLEST, _LARGEST = -20.0, 3.0
# Keeps the coefficients of columns without information at 0.
RIDGE = 1e-3


def pair_columns(
    views: Views, n_train: int, points: Indices
) -> Float[np.ndarray, "n_train n_chosen n_columns"]:
    """Return the properties of pairs on which prior variances may depend, n_columns for each pair.

    A pair is a training point and one of points. The columns are 1, likeness, its square and the logarithm of
    difficulty, and the same four again, which are 0 unless the labels agree.
    """
    alike = views.likeness(n_train, points)
    difficulty = views.difficulty[:n_train]
    hard = np.log(np.maximum(difficulty / max(difficulty.mean(), 1e-12), _EASIEST))[:, None] + np.zeros_like(
        alike
    )
    same = (views.labels[:n_train, None] == views.labels[points]).astype(np.float64)
    return np.stack(
        [np.ones_like(alike), alike, alike**2, hard, same, same * alike, same * alike**2, same * hard], axis=2
    )


def learn_prior(
    columns: Float[np.ndarray, "n_pairs n_columns"],
    squares: Float[np.ndarray, " n_pairs"],
    noise: Float[np.ndarray, " n_pairs"],
) -> Float[np.ndarray, " n_columns"]:
    """Return the coefficients under which the marginal weights are most likely.

    The prior variances are exp(columns @ coefficients). squares: the squares of the marginal weights. noise:
    the variances of the marginal weights if the true weights are 0. Marginal weights are taken as normal with
    variance noise + prior, and the likelihood is maximised by Fisher scoring. Columns are standardised
    inside; the first column must be all 1.
    """
    centre, scale = columns.mean(axis=0), columns.std(axis=0)
    centre[0], scale[scale == 0] = 0.0, 1.0
    standard = (columns - centre) / scale
    found = np.zeros(columns.shape[1])
    found[0] = np.log(max(float((squares - noise).mean()), np.exp(_SMALLEST)))
    for _ in range(_MOST_STEPS):
        variance = prior_variances(standard, found)
        total = noise + variance
        share = variance / total
        slope = standard.T @ ((squares / total - 1) * share / 2)
        curvature = (standard * (share**2 / 2)[:, None]).T @ standard
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(found)), slope)
        # The first steps would overshoot if nearly all pairs are noise, so the length of a step is limited.
        found += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < SMALLEST_STEP:
            break
    coefficients = found / scale
    coefficients[0] -= coefficients[1:] @ centre[1:]
    return np.asarray(coefficients)


def prior_variances(
    columns: Float[np.ndarray, "... n_columns"], coefficients: Float[np.ndarray, " n_columns"]
) -> Float[np.ndarray, "..."]:
    """Return the prior variance of each pair's weight."""
    return np.asarray(np.exp(np.clip(columns @ coefficients, _SMALLEST, _LARGEST)))
