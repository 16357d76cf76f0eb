"""A fitted datamodel of one block of outputs: what predicts them from a mask.

Masks are raw 0/1; all centring is inside.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices, Masks, Outputs, PerOutput, require_floats, require_masks
from pipeline.core.errors import DataError, ShapeError

# Training points whose weights are numbers in memory at once: of 2,560 outputs they take 42 MB as float32.
_ROWS = 4096


@dataclass(frozen=True)
class Effect:
    """Predicted change of each output when points are removed from the full training set.

    Mean and standard error, both (n_outputs,).

    Standard errors are NaN where the datamodel knows none.
    """

    mean: PerOutput
    standard_error: PerOutput


@runtime_checkable
class Datamodel(Protocol):
    """What every fitted datamodel answers."""

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw masks (n_models, n_train)."""
        ...

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when the training points in indices are removed."""
        ...

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return one weight for each training point and output.

        Costs n_train × n_outputs of memory, so ask for few outputs.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class WeightMatrix:
    """A linear datamodel written out, weight by weight.

    The prediction for a mask is `everything` − (1 − mask) @ weights.

    scale × matrix (n_train, n_outputs): what each training point adds to each output by being there; the
    matrix may be mapped from a file, of which only the rows asked for are read. everything (n_outputs,): the
    outputs of a model trained on all points. errors (n_train, n_outputs): standard errors of the weights,
    independent of each other; None if nothing is known of them, and then nothing of those of effects.
    curvature: what a linear datamodel does not know of an effect, as a share of it, which the standard error
    adds. Raises ShapeError if the arrays disagree.
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
                "weight a point and output"
            )
        if self.errors is not None and self.errors.shape != self.matrix.shape:
            raise ShapeError(
                f"weights are {self.matrix.shape}, their standard errors {self.errors.shape}; give one for "
                "each weight"
            )

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train).

        Raises ShapeError on masks of another length.
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
        """Return the change of each output when indices are removed: their weights summed and negated.

        Raises DataError on ids that are no set.
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
    """Return training ids, given as an array or a list, as an array.

    Raises DataError unless they are distinct and at least one.
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
