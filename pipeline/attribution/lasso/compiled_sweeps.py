"""Compiled loops that sweep over all points of many LASSO problems at once, block by block.

compiled_steps explains the arrays.
"""

import numpy as np

from pipeline.attribution.lasso.compiled_steps import compiled

# Number of outputs for which a block is descended together: 64 × 64 float32 stay in the first-level cache.
TILE = 64


@compiled
def descend_block(
    gram: np.ndarray,
    weights: np.ndarray,
    gradients: np.ndarray,
    penalty: np.ndarray,
    first: int,
    changes: np.ndarray,
) -> None:
    """Minimise over each weight of one block in turn, once for all outputs; write the changes.

    The block starts at point first; gram (n_block, n_block) is its Gram matrix. Weights change in place.
    Gradients do not: the caller must subtract changes (n_outputs, n_block) times the block's rows of the
    whole Gram matrix from them.
    """
    n_outputs, n_block = changes.shape
    old, new, slope = (
        np.empty((n_block, TILE), gram.dtype),
        np.empty((n_block, TILE), gram.dtype),
        np.empty((n_block, TILE), gram.dtype),
    )
    step = np.empty(TILE, gram.dtype)
    for start in range(0, n_outputs, TILE):
        n_tile = min(TILE, n_outputs - start)
        bar = penalty[start : start + n_tile]
        for output in range(n_tile):
            for point in range(n_block):
                old[point, output] = weights[start + output, first + point]
                slope[point, output] = gradients[start + output, first + point]
        for point in range(n_block):
            curvature = gram[point, point]
            inverse = 1 / curvature if curvature > 0 else curvature * 0
            for output in range(n_tile):
                target = slope[point, output] + curvature * old[point, output]
                moved = (
                    max(target - bar[output], np.float32(0)) + min(target + bar[output], np.float32(0))
                ) * inverse
                step[output] = moved - old[point, output]
                new[point, output] = moved
            for other in range(point + 1, n_block):
                shared = gram[point, other]
                for output in range(n_tile):
                    slope[other, output] -= shared * step[output]
        for output in range(n_tile):
            for point in range(n_block):
                weights[start + output, first + point] = new[point, output]
                changes[start + output, point] = new[point, output] - old[point, output]


@compiled
def _objective(
    correlations: np.ndarray, weights: np.ndarray, gradients: np.ndarray, penalty: float, power: float
) -> float:
    """Return the objective of one output."""
    left, size = 0.0, 0.0
    for point in range(len(weights)):
        left += (correlations[point] + gradients[point]) * weights[point]
        size += abs(weights[point])
    return (power - left) / 2 + penalty * size


@compiled
def _lowest(slopes: tuple[float, float], first: float, both: float, second: float) -> tuple[float, float]:
    """Return the lowest point of a quadratic in two variables.

    slopes are its slopes at 0, and ((first, both), (both, second)) is its Hessian. If the second axis is 0 or
    almost parallel to the first, the result is the lowest point along the first axis.
    """
    determinant = first * second - both * both
    if determinant > 1e-3 * first * second:
        return (both * slopes[1] - second * slopes[0]) / determinant, (
            both * slopes[0] - first * slopes[1]
        ) / determinant
    return (-slopes[0] / first if first > 0 else 0.0), 0.0


@compiled
def accelerate(
    correlations: np.ndarray,
    power: np.ndarray,
    penalty: np.ndarray,
    before: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    gradients: np.ndarray,
    step: tuple[np.ndarray, np.ndarray],
    least: float,
) -> None:
    """Move each output, in place, to the lowest point of the plane of its last sweep and the step before.

    Conjugate gradients move in the same way. before: weights and gradients before the sweep. step: the
    amounts by which the last step raised weights and lowered gradients; those of this step replace them. With
    the signs of the weights held fixed, the objective is quadratic in that plane. The move is halved until
    the true objective falls by at least `least` × power. If four lengths do not achieve this, there is no
    move.
    """
    for output in range(len(power)):
        now, slope = weights[output], gradients[output]
        sweep, sweep_loss = now - before[0][output], before[1][output] - slope
        last, last_loss = step[0][output], step[1][output]
        along_sweep, along_last, sweep_sweep, sweep_last, last_last = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(len(now)):
            uphill = penalty[output] * np.sign(now[i]) - slope[i]
            along_sweep += uphill * sweep[i]
            along_last += uphill * last[i]
            sweep_sweep += sweep[i] * sweep_loss[i]
            sweep_last += sweep[i] * last_loss[i]
            last_last += last[i] * last_loss[i]
        a, b = _lowest((along_sweep, along_last), sweep_sweep, sweep_last, last_last)
        move = np.float32(a) * sweep + np.float32(b) * last
        loss = np.float32(a) * sweep_loss + np.float32(b) * last_loss
        goal = (
            _objective(correlations[output], now, slope, penalty[output], power[output])
            - least * power[output]
        )
        for _ in range(4):
            if (
                _objective(correlations[output], now + move, slope - loss, penalty[output], power[output])
                < goal
            ):
                now += move
                slope -= loss
                break
            move *= np.float32(0.5)
            loss *= np.float32(0.5)
        last[:] = now - before[0][output]
        last_loss[:] = before[1][output] - slope
