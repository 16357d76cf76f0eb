"""Accuracy: the check beside every distance, since a constant output can fool a distance."""

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.core.errors import ShapeError


def is_correct(logits: Float[np.ndarray, "*models n_points n_classes"], labels: Int[np.ndarray, " n_points"]) -> Bool[np.ndarray, "*models n_points"]:
    """Return whether the largest logit is the label's, (..., n_points); points with a non-finite logit count as wrong."""
    if logits.shape[-2] != len(labels):
        raise ShapeError(f"logits are of {logits.shape[-2]} points, labels of {len(labels)}; give one label for each point")
    return (logits.argmax(axis=-1) == labels) & np.isfinite(logits).all(axis=-1)


def accuracy(logits: Float[np.ndarray, "*models n_points n_classes"], labels: Int[np.ndarray, " n_points"]) -> Float[np.ndarray, "*models"]:
    """Return the fraction of points classified correctly by each model."""
    return np.asarray(is_correct(logits, labels).mean(axis=-1))
