"""Penalties of regression in its dual form, chosen by leave-one-out errors.

The eigendecomposition K = V diag(values) Vᵀ of the kernel matrix gives these errors in closed form.
"""

import numpy as np
from jaxtyping import Float

from pipeline.attribution.estimator import Arrays
from pipeline.core.arrays import Outputs, PerOutput

# Penalties tried, in units of the mean eigenvalue of K; the leave-one-out optimum of deep networks lies
# around 0.2 to 1.
GRID = np.geomspace(1e-3, 1e2, 21)


def coordinates(factor: Arrays, outputs: Outputs) -> Outputs:
    """Return the centred outputs in the eigenbasis of the kernel matrix, (n_models, n_outputs)."""
    return np.asarray(factor["eigenvectors"].T @ (outputs - outputs.mean(axis=0, dtype=np.float64)))


def best_penalty(values: Float[np.ndarray, " n_models"], squares: Outputs) -> PerOutput:
    """Return, for each output, the penalty of GRID (absolute) with the least leave-one-out error.

    squares: the squared `coordinates` of the outputs.
    """
    penalties = GRID * values.mean()
    return np.asarray(penalties[leave_one_out(values, squares, penalties).argmin(axis=0)])


def errors_at(
    penalty: PerOutput, values: Float[np.ndarray, " n_models"], squares: Outputs
) -> tuple[PerOutput, PerOutput]:
    """Return each output's mean squared leave-one-out error at its penalty, and the share it explains.

    This is the share of the variance of the output over all subset models, which includes the differences
    between their populations. On held-out models, which are of one population, less is explained.
    """
    distinct, which = np.unique(penalty, return_inverse=True)
    error = leave_one_out(values, squares, distinct)[which, np.arange(len(which))]
    total = squares.mean(axis=0) * (len(values) / (len(values) - 1)) ** 2
    return error, 1 - error / np.where(total > 0, total, 1.0)


def leave_one_out(
    values: Float[np.ndarray, " n_models"], squares: Outputs, penalties: Float[np.ndarray, " n_penalties"]
) -> Float[np.ndarray, "n_penalties n_outputs"]:
    """Return the mean squared leave-one-out error of each output at each penalty.

    squares: the squared `coordinates` of the outputs; nothing else of the outputs is needed. Leverages are
    replaced by their mean (generalised cross-validation, Golub, Heath, Wahba 1979). Subset models keep
    equally many points, so their leverages agree within a few per cent. All penalties then cost one thin
    product instead of one m×m product each.
    """
    n_models = len(values)
    shrunk = penalties[:, None] / (values + penalties[:, None])
    # Subtracting the mean output takes one degree of freedom. Its eigenvalue is 0, so the sum of shrunk still
    # counts it as free; here it is subtracted.
    freedom = np.maximum((shrunk.sum(axis=1) - 1) / n_models, 1e-12)
    return np.asarray(shrunk**2 @ squares / n_models / freedom[:, None] ** 2)
