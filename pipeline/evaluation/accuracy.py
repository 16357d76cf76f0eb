"""Accuracy of models.

It is shown beside every distance, because a constant output can fool a distance.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.evaluation.margins import check_logits


def is_correct(logits: Float[np.ndarray, "..."], labels: Int[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Return whether the largest logit is that of the label, (..., n_points).

    logits have the shape (..., n_points, n_classes), labels (n_points,). A point with any non-finite logit
    counts as wrong. Raises ShapeError.
    """
    check_logits(logits, labels)
    return (logits.argmax(axis=-1) == labels) & np.isfinite(logits).all(axis=-1)


def accuracy(
    logits: Float[np.ndarray, "n_models n_points n_classes"], labels: Int[np.ndarray, "..."]
) -> Float[np.ndarray, " n_models"]:
    """Return the fraction of points that each model classifies correctly, (n_models,); raises ShapeError."""
    return np.asarray(is_correct(logits, labels).mean(axis=-1))
