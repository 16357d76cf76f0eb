"""Compiled loops that solve LASSO problems in Gram form, each output on the few points that matter to it.

Arrays are float32, with one row for each output. With masks X and outputs y centred over m models: gram =
XᵀX/m, correlations = Xᵀy/m, power = yᵀy/m, and gradients = correlations − weights·gram, which equal Xᵀr/m for
the residuals r. All sums that lead to a duality gap are float64. Inputs must be finite and of matching
shapes.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be taken in any order, so that they vectorise; NaN and infinity keep their meaning.
FAST = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: F) -> F:
    """Return function compiled at its first call.

    The result is cached beside this file or in the user's cache. If neither can be written, it is not cached.
    """
    # In tests every function is wrapped to check its types; only the function inside can be compiled.
    plain = inspect.unwrap(function)
    try:
        return cast(F, njit(cache=True, fastmath=FAST, error_model="numpy", nogil=True)(plain))
    except RuntimeError:
        return cast(F, njit(fastmath=FAST, error_model="numpy", nogil=True)(plain))


@compiled
def relative_gap(
    correlations: np.ndarray, weights: np.ndarray, gradients: np.ndarray, penalty: float, power: float
) -> float:
    """Return the duality gap of one output divided by its objective at zero weights.

    Each array is this output's row (n_train,). The dual point is the residual, scaled so that it is feasible
    and its dual objective is as high as possible.
    """
    explained, left, size, steepest = 0.0, 0.0, 0.0, 0.0
    for point in range(len(weights)):
        weight = weights[point]
        explained += correlations[point] * weight
        left += gradients[point] * weight
        size += abs(weight)
        steepest = max(steepest, abs(gradients[point]))
    squares, inner = power - explained - left, power - explained
    if squares <= 0 or power <= 0:
        return 0.0
    scale = inner / squares
    if steepest > 0:
        scale = max(min(scale, penalty / steepest), -penalty / steepest)
    return (squares / 2 + penalty * size - scale * inner + scale * scale * squares / 2) / (power / 2)


@compiled
def relative_gaps(
    correlations: np.ndarray,
    weights: np.ndarray,
    gradients: np.ndarray,
    penalty: np.ndarray,
    power: np.ndarray,
    gaps: np.ndarray,
) -> None:
    """Write the relative duality gap of each output to gaps (n_outputs,)."""
    for output in range(len(gaps)):
        gaps[output] = relative_gap(
            correlations[output], weights[output], gradients[output], penalty[output], power[output]
        )


@compiled
def subtract_rows(rows: np.ndarray, weights: np.ndarray, start: np.ndarray, result: np.ndarray) -> None:
    """Write start − weights·rows to result (n_columns,), four rows at a time.

    Rows whose weight is zero are not read.
    """
    support = np.flatnonzero(weights)
    result[:] = start
    whole = len(support) // 4 * 4
    for first in range(0, whole, 4):
        h, i, j, k = support[first], support[first + 1], support[first + 2], support[first + 3]
        a, b, c, d = weights[h], weights[i], weights[j], weights[k]
        row_a, row_b, row_c, row_d = rows[h], rows[i], rows[j], rows[k]
        for column in range(len(result)):
            result[column] -= a * row_a[column] + b * row_b[column] + c * row_c[column] + d * row_d[column]
    for point in support[whole:]:
        a, row_a = weights[point], rows[point]
        for column in range(len(result)):
            result[column] -= a * row_a[column]


@compiled
def subtract_all_rows(rows: np.ndarray, weights: np.ndarray, start: np.ndarray, result: np.ndarray) -> None:
    """Write start − weights·rows to result (n_outputs, n_columns)."""
    for output in range(len(weights)):
        subtract_rows(rows, weights[output], start[output], result[output])


@compiled
def _sweep_set(
    points: np.ndarray,
    gram: np.ndarray,
    compact: np.ndarray,
    filled: np.ndarray,
    weights: np.ndarray,
    gradients: np.ndarray,
    penalty: float,
) -> None:
    """Minimise the objective over each weight of a working set in turn, once.

    compact is the Gram matrix of the set; a row of it is filled when it is first needed, and filled marks
    these rows.
    """
    n_points = len(points)
    for place in range(n_points):
        row, curvature = gram[points[place]], gram[points[place], points[place]]
        if curvature <= 0:
            continue
        old = weights[place]
        target = gradients[place] + curvature * old
        new = (max(target - penalty, np.float32(0)) + min(target + penalty, np.float32(0))) / curvature
        if new != old:
            if not filled[place]:
                filled[place] = True
                for column in range(n_points):
                    compact[place, column] = row[points[column]]
            weights[place] = new
            change, near = new - old, compact[place]
            for column in range(n_points):
                gradients[column] -= change * near[column]


@compiled
def descend_sets(
    gram: np.ndarray,
    correlations: np.ndarray,
    power: np.ndarray,
    penalty: np.ndarray,
    cut: np.ndarray,
    weights: np.ndarray,
    gradients: np.ndarray,
    tolerance: float,
    largest_set: int,
    gaps: np.ndarray,
) -> None:
    """Solve each output, in place, on the few points that matter to it.

    The relative duality gap over all points is written to gaps. A point matters if it has a weight, or a
    gradient of at least a bound. In the first round the bound is cut (n_outputs,), that of the strong rule
    (Tibshirani et al. 2012), and in later rounds almost the penalty. An output for which more than
    largest_set points matter is not solved further. Its gap is 2 if this happens in the first round.
    """
    points, filled = np.empty(largest_set, np.int64), np.empty(largest_set, np.bool_)
    compact = np.empty((largest_set, largest_set), gram.dtype)
    for output in range(len(gaps)):
        bar, goal = cut[output], tolerance / 2
        gaps[output] = 2.0
        for _ in range(20):
            chosen = np.flatnonzero((weights[output] != 0) | (np.abs(gradients[output]) >= bar))
            size = len(chosen)
            if size > largest_set:
                break
            points[:size] = chosen
            filled[:size] = False
            near, slope, target = (
                weights[output][chosen],
                gradients[output][chosen],
                correlations[output][chosen],
            )
            for sweep in range(200):
                if sweep > 0 and relative_gap(target, near, slope, penalty[output], power[output]) <= goal:
                    break
                _sweep_set(points[:size], gram, compact, filled, near, slope, penalty[output])
            weights[output][chosen] = near
            subtract_rows(gram, weights[output], correlations[output], gradients[output])
            gaps[output] = relative_gap(
                correlations[output], weights[output], gradients[output], penalty[output], power[output]
            )
            if gaps[output] <= tolerance:
                break
            # Rounding may leave the gradient of a point that matters a little below the penalty, so the bound
            # is a little lower.
            bar, goal = penalty[output] * np.float32(0.999), goal / 2
