"""Fitted datamodels: each predicts a block of outputs for any mask of the training points.

A mask holds True for each point that a model was trained on. Callers pass masks as they are; a datamodel that
needs centred masks centres them itself.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices, Masks, Outputs, PerOutput, require_floats, require_masks
from pipeline.core.errors import DataError, ShapeError

# Number of training points whose weights are converted to floats at once. With 2,560 outputs these take
# 42 MB as float32.
_ROWS = 4096


@dataclass(frozen=True)
class Effect:
    """Predicted change of each output when points are removed from the full training set.

    mean and standard_error are (n_outputs,). Standard errors are NaN where the datamodel knows none.
    """

    mean: PerOutput
    standard_error: PerOutput


@runtime_checkable
class Datamodel(Protocol):
    """The interface of every fitted datamodel."""

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw masks (n_models, n_train)."""
        ...

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when the training points in indices are removed."""
        ...

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return one weight for each training point and output.

        The result takes n_train × n_outputs numbers of memory, so ask for few outputs.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class WeightMatrix:
    """A linear datamodel given by all its weights.

    The prediction for a mask is `everything` − (1 − mask) @ weights, with weights = scale × matrix.

    matrix (n_train, n_outputs): scale × matrix is what each training point adds to each output by its
    presence. The matrix may be mapped from a file; then only the requested rows are read. everything
    (n_outputs,): the outputs of a model trained on all points. errors (n_train, n_outputs): standard errors
    of the weights, independent of each other. If errors is None, the standard errors of effects are NaN.
    curvature: the error that an effect has because the datamodel is linear, as a share of the effect; it is
    part of the standard error. Raises ShapeError if the shapes do not match.
    """

    matrix: Float[np.ndarray, "n_train n_outputs"]
    everything: Float[np.ndarray, " _"]
    errors: Float[np.ndarray, "_ _"] | None = None
    scale: float = 1.0
    curvature: float = 0.0

    def __post_init__(self) -> None:
        require_floats("weights", self.matrix)
        require_floats("everything", self.everything)
        if self.matrix.ndim != 2 or self.matrix.shape[1:] != self.everything.shape:
            raise ShapeError(
                f"weights are {self.matrix.shape}, outputs on all points {self.everything.shape}; give one "
                "weight for each point and output"
            )
        if self.errors is not None and self.errors.shape != self.matrix.shape:
            raise ShapeError(
                f"weights are {self.matrix.shape}, their standard errors {self.errors.shape}; give one for "
                "each weight"
            )

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train).

        Raises ShapeError unless masks have one entry for each training point.
        """
        n_train = len(self.matrix)
        require_masks("masks", masks, n_train)
        kind = np.result_type(self.matrix.dtype, np.float32)
        lost = np.zeros((len(masks), self.matrix.shape[1]), kind)
        for start in range(0, n_train, _ROWS):
            rows = slice(start, start + _ROWS)
            lost += (~masks[:, rows]).astype(kind) @ self.matrix[rows].astype(kind)
        return np.asarray(self.everything - self.scale * lost)

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the change of each output when indices are removed: the negated sum of their weights.

        Raises DataError unless indices are distinct training ids, at least one.
        """
        indices = as_indices(indices, len(self.matrix))
        mean = -self.scale * self.matrix[indices].sum(axis=0, dtype=np.float64)
        variance = (
            np.full(mean.shape, np.nan)
            if self.errors is None
            else np.square(self.errors[indices], dtype=np.float64).sum(axis=0)
        )
        return Effect(mean, np.sqrt(variance + (self.curvature * mean) ** 2))

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return scale × matrix."""
        kind = np.result_type(self.matrix.dtype, np.float32)
        return np.asarray(self.matrix.astype(kind) * kind.type(self.scale))


def as_indices(indices: object, n_train: int) -> Indices:
    """Return training ids as an array; they may be given as an array or a list.

    Raises DataError unless they are distinct training ids, at least one.
    """
    expected = f"indices must be distinct training ids in 0 to {n_train - 1} and at least one"
    try:
        ids = np.asarray(indices)
    except (TypeError, ValueError) as error:
        raise DataError(f"{expected}; got {indices!r:.80}") from error
    if isinstance(indices, np.ma.MaskedArray) or ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
        raise DataError(f"{expected}, as integers in one dimension; got {ids.dtype} of shape {ids.shape}")
    if len(ids) == 0 or len(np.unique(ids)) != len(ids) or ids.min() < 0 or ids.max() >= n_train:
        raise DataError(f"{expected}; got {ids[:10].tolist()}")
    return ids
