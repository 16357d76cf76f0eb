"""Prior variances of weights, learnt from the scouts' views of both points.

A weight is large if the training point was hard and looks like the point whose output it changes. The
importance of each property differs between data sets. So it is learnt from the squared marginal weights of
all pairs at once, which are unbiased after their known noise is subtracted.
"""

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices
from pipeline.data.views import Views

PerPair = Float[np.ndarray, "n_train n_chosen"]

# The least difficulty, in units of the mean: points that models find easy still count for something.
_EASIEST = 0.03
# Steps of the scoring that learns the prior; it settles in about 15.
_MOST_STEPS, SMALLEST_STEP = 50, 1e-4
# Bounds on the logarithm of a variance, in units of an output's variance. A variance at the lower bound has
# the same effect as zero, and one at the upper bound the same as no limit.
_SMALLEST, _LARGEST = -20.0, 3.0
# Keeps the coefficients of columns without information at 0.
RIDGE = 1e-3


def pair_columns(
    views: Views, n_train: int, points: Indices
) -> Float[np.ndarray, "n_train n_chosen n_columns"]:
    """Return the columns that a prior variance may depend on, for each training point and each of points.

    The columns are 1, likeness, its square and the logarithm of difficulty, and the same four once more where
    labels agree.
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
    the variances that they have if weights are 0. The method is Fisher scoring of normal weights with
    variance noise + prior, standardised inside; the first column must be all 1.
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
        # The first steps overshoot if nearly all pairs are noise.
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
