"""Theorems 1 and 2 in closed form: full-batch iterates at any step, and the rate of stochastic matching.

Source: Georgiev et al. 2025, theorems 1 and 2.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from pipeline.studies.convex.linear.quadratic_descent import FLAT
from pipeline.studies.convex.linear.ridge_ensemble import RidgeEnsemble, Thetas

Differences = Float[np.ndarray, "n_times n_draws n_span"]
Curves = Float[np.ndarray, "n_times n_draws"]


def theorem_1_descent(
    problems: RidgeEnsemble, start: Thetas, goal: Thetas, *, step_size: float, times: Sequence[int]
) -> Differences:
    """Return θ_t − θ* of GD: (I − 2ηλ)ᵗ (I − 2η/(1 − 2ηλ) X_RᵀX_R)ᵗ (θ_full − θ*), at each of the times."""
    # The two factors are multiplied out, because the second is undefined where the first is 0.
    return _powers(
        problems.gram(problems.retained),
        start - goal,
        2 * step_size,
        times,
        1 - 2 * step_size * problems.penalty,
    )


def theorem_1_matching(
    problems: RidgeEnsemble, start: Thetas, goal: Thetas, *, step_size: float, times: Sequence[int]
) -> Differences:
    """Return θ_t − θ* of OM: (I − 2ηXᵀX)ᵗ (θ_full − θ*), at each of the times."""
    return _powers(problems.gram(), start - goal, 2 * step_size, times, 1.0)


def _powers(
    gram: Float[np.ndarray, "n_draws n_span n_span"],
    first: Thetas,
    rate: float,
    times: Sequence[int],
    shrink: float,
) -> Differences:
    """Return (shrink − rate·gram)ᵗ first."""
    values, vectors = np.linalg.eigh(gram)
    coordinates = np.einsum("dsk,ds->dk", vectors, first)
    with np.errstate(over="ignore"):
        powers = np.stack([(shrink - rate * values) ** time for time in times])
    return np.matmul((powers * coordinates).transpose(1, 0, 2), vectors.transpose(0, 2, 1)).transpose(1, 0, 2)


def shares_of(differences: Differences, start: Thetas, goal: Thetas) -> Curves:
    """Return R at each time in each draw, from the differences θ_t − goal."""
    return (differences**2).sum(axis=2) / ((start - goal) ** 2).sum(axis=1)


def theorem_2_rate(
    problems: RidgeEnsemble, *, step_size: float, batch_size: int
) -> Float[np.ndarray, " n_draws"]:
    """Return a bound on the factor by which one step of stochastic OM multiplies E R: 1 − 2ηγ_min b/n.

    The bound is NaN where the step is too large for the theorem. A step of size η multiplies E‖θ − θ*‖² by at
    most 1 − 4ηγ_min b/n · (1 − ηL). L is the largest eigenvalue of X_BᵀX_B over batches B, which is at most
    the sum of the b largest squared norms. For ηL ≤ ½ this factor is at most the bound. γ_min is the least
    eigenvalue of XᵀX on the span of the points, which θ_t − θ* never leaves.
    """
    least = np.linalg.eigvalsh(problems.gram())[:, 0]
    largest = np.sort((problems.features**2).sum(axis=2), axis=1)[:, -batch_size:].sum(axis=1)
    rate = 1 - 2 * step_size * least * batch_size / problems.n_points
    return np.where(step_size * largest <= 0.5, rate, np.nan)


def outside(problems: RidgeEnsemble, differences: Differences) -> Curves:
    """Return the squared length of the part of θ_t − goal outside the span of the retained points.

    In each step, GD multiplies this part (not its squared length) by 1 − 2ηλ.
    """
    values, vectors = np.linalg.eigh(problems.gram(problems.retained))
    unknown = values < values[:, -1:] * FLAT
    parts = np.matmul(differences.transpose(1, 0, 2), vectors) * unknown[:, None]
    return (parts**2).sum(axis=2).T
