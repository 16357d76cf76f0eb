"""The one margin formula: the correct logit minus the logsumexp of the others, never through a probability, which overflows."""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from pipeline.core.errors import DataError, ShapeError


def margins(logits: Float[np.ndarray, "*models n_points n_classes"], labels: Int[np.ndarray, " n_points"]) -> Float[np.ndarray, "*models n_points"]:
    """Return the margin of each point in nats, (..., n_points), from logits (..., n_points, n_classes) and labels (n_points,).

    float16 is raised to float32. A point with any non-finite logit has margin NaN: it must never look good. Raises ShapeError, or DataError
    for labels that are no class. Source: Georgiev et al. 2025, section 2.
    """
    if logits.ndim < 2 or logits.shape[-2] != len(labels):
        raise ShapeError(f"logits of shape {logits.shape} are not (..., n_points, n_classes) for {len(labels)} labels; give one label for each point")
    n_classes = logits.shape[-1]
    if n_classes < 2:
        raise ShapeError(f"logits have {n_classes} class; a margin needs at least 2")
    if len(labels) and (labels.min() < 0 or labels.max() >= n_classes):
        raise DataError(f"labels span {labels.min()} to {labels.max()}; logits have classes 0 to {n_classes - 1}")
    values = np.asarray(logits, np.promote_types(logits.dtype, np.float32))
    finite = np.isfinite(values).all(axis=-1)
    values = np.where(finite[..., None], values, 0.0)
    correct = np.arange(n_classes) == labels[:, None]
    others = logsumexp(np.where(correct, -np.inf, values), axis=-1)
    chosen = np.take_along_axis(values, np.broadcast_to(labels[:, None], (*values.shape[:-1], 1)), axis=-1)[..., 0]
    return np.where(finite, chosen - others, np.nan).astype(values.dtype)
