"""The true datamodel of planted data, see pipeline.data.datasets.planted; tests compare estimates with it."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from pipeline.data.examples import Examples


def planted_weights(
    examples: Examples, *, learning_rate: float, n_kept: int
) -> Float[np.ndarray, "n_train n_points n_classes"]:
    """Return the effect of each training point on each logit, float64 (n_train, n_points, n_classes).

    It is the effect of the one step that pipeline.data.datasets.planted describes. Subsets have n_kept
    points; the intercept is 0. Weights of subsets of one size are only determined up to a constant for each
    output, so compare them after subtracting their mean over training points.
    """
    flat = examples.inputs_of(np.arange(examples.n_points)).reshape(examples.n_points, -1).astype(np.float64)
    similarity = flat[: examples.n_train] @ flat.T + 1.0
    targets = np.eye(examples.n_classes)[examples.labels[: examples.n_train]] - 1.0 / examples.n_classes
    weights: npt.NDArray[np.float64] = learning_rate / n_kept * similarity[:, :, None] * targets[:, None, :]
    return weights
