"""Two classes of a data set as a small binary problem, on which guarantees are tested."""

import numpy as np

from pipeline.core.errors import DataError
from pipeline.data.examples import Examples
from pipeline.studies.convex.problems.losses import LogisticProblem


def two_classes(examples: Examples, classes: tuple[int, int], pool: int) -> LogisticProblem:
    """Return the training points of two classes as a problem with a constant feature.

    Images are averaged over squares of pool × pool pixels. Raises DataError if a class has no point, or if
    `pool` does not divide the height and the width of the images.
    """
    labels = examples.labels[: examples.n_train]
    missing = [wanted for wanted in classes if wanted not in labels]
    if missing:
        raise DataError(
            f"no training point is of class {missing[0]}; choose two of the {examples.n_classes} classes, "
            "from 0"
        )
    chosen = np.isin(labels, classes)
    inputs = examples.inputs_of(np.flatnonzero(chosen)).astype(float)
    features = _pooled(inputs, pool).reshape(len(inputs), -1)
    # The constant is half the mean length of a point's pixels. If it were too short, the penalty on its
    # weight would be too high.
    constant = np.full((len(features), 1), np.linalg.norm(features, axis=1).mean() / 2)
    return LogisticProblem(
        features=np.concatenate([features, constant], axis=1),
        penalty=1.0,
        labels=(labels[chosen] == classes[1]).astype(int),
        n_classes=2,
    )


def _pooled(inputs: np.ndarray, pool: int) -> np.ndarray:
    if inputs.ndim < 4 or pool == 1:
        return inputs
    n_points, n_colours, height, width = inputs.shape
    if height % pool or width % pool:
        raise DataError(
            f"images of {height} × {width} pixels are not filled by squares of {pool}; choose a divisor of "
            "both, or 1"
        )
    return inputs.reshape(n_points, n_colours, height // pool, pool, width // pool, pool).mean(axis=(3, 5))
