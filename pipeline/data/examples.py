"""Examples: inputs, labels and the split.

Training points come first, so ids below n_train are training points.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from pipeline.core.arrays import Indices, Labels
from pipeline.core.errors import DataError, placed
from pipeline.core.fingerprint import digest, digest_arrays
from pipeline.core.registry import identity
from pipeline.core.settings.type_hints import describe_value, fits
from pipeline.data.inputs import ArrayInputs, FileInputs, Inputs, UnreadInputs, read_inputs
from pipeline.data.scaling import Scaling

EXPECTED_INPUTS = "a NumPy array of numbers, (n_points, ...)"


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A data set: inputs (n_points, ...), labels (n_points,) int64 in [0, n_classes), and the split.

    The first n_train points are for training, the rest for validation. mislabelled (n_mislabelled,) are the
    training ids whose labels were flipped on purpose. Models see the inputs after scaling, or unchanged
    without it. An array given as inputs becomes ArrayInputs. Raises DataError if shapes, ranges or values
    cannot be trained on.
    """

    inputs: Inputs
    labels: Labels
    n_train: int
    n_classes: int
    mislabelled: Int[np.ndarray, " n_mislabelled"]
    scaling: Scaling | None

    def __init__(
        self,
        *,
        inputs: Inputs | npt.NDArray[Any],
        labels: npt.NDArray[Any],
        n_train: int,
        n_classes: int,
        mislabelled: npt.NDArray[Any] | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        mislabelled = np.zeros(0, np.int64) if mislabelled is None else mislabelled
        if not isinstance(inputs, Inputs):
            _check_array("inputs", inputs, "biuf", EXPECTED_INPUTS)
            inputs = ArrayInputs(inputs)
        counts = {"n_train": n_train, "n_classes": n_classes}
        fields = {"inputs": inputs, "labels": labels, "mislabelled": mislabelled, "scaling": scaling}
        for name, value in {**fields, **counts}.items():
            object.__setattr__(self, name, value)
        self._check_kinds()
        self._check_values()

    def _check_values(self) -> None:
        """Raise DataError unless counts, shapes, labels and inputs in memory can be trained on."""
        shape = self.inputs.shape
        if shape[0] != len(self.labels):
            raise DataError(f"{shape[0]} inputs but {len(self.labels)} labels; give one label for each input")
        if not 0 < self.n_train < len(self.labels):
            raise DataError(
                f"n_train is {self.n_train} of {len(self.labels)} points; at least one training and one "
                "validation point are needed"
            )
        if self.n_classes < 2:
            raise DataError(f"n_classes is {self.n_classes}; expected at least two classes, numbered from 0")
        if 0 in shape:
            raise DataError(
                f"inputs have shape {shape}, so a point has no features; give at least one number for "
                "each point"
            )
        if self.labels.min() < 0 or self.labels.max() >= self.n_classes:
            raise DataError(
                f"labels span {self.labels.min()} to {self.labels.max()}; expected 0 to {self.n_classes - 1}"
            )
        if self.scaling is not None:
            with placed("scaling"):
                self.scaling.check(self.input_shape)
        if isinstance(self.inputs, ArrayInputs):
            _check_finite(self.inputs.array)

    def _check_kinds(self) -> None:
        """Raise DataError unless arrays and counts are of the right kind.

        NumPy integers as counts become Python integers.
        """
        _check_array("labels", self.labels, "iu", "a NumPy array of integers, (n_points,)")
        _check_array("mislabelled", self.mislabelled, "iu", "a NumPy array of training ids, (n_mislabelled,)")
        for name in ("n_train", "n_classes"):
            count = getattr(self, name)
            if not fits(count, int):
                raise DataError(f"{name} is {describe_value(count)}; expected an integer")
            object.__setattr__(self, name, int(count))
        outside = self.mislabelled[(self.mislabelled < 0) | (self.mislabelled >= self.n_train)]
        if outside.size:
            raise DataError(
                f"mislabelled holds id {outside[0]}; expected ids of training points, 0 to {self.n_train - 1}"
            )

    @property
    def n_points(self) -> int:
        """Number of points, training and validation."""
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.inputs.shape[1:])

    def inputs_of(self, ids: Indices) -> Float[np.ndarray, "n_ids ..."]:
        """Return the inputs (n_ids, ...) of points ids, scaled, float32; raises DataError or PluginError."""
        found = read_inputs(self.inputs, ids).astype(np.float32)
        if self.scaling is None:
            return found
        divisor, mean, std = self.scaling.terms(self.input_shape)
        return (found / divisor - mean) / std

    def without_inputs(self) -> "Examples":
        """Return the same examples with inputs that cannot be read, for a command that reads no inputs."""
        inputs = self.inputs
        if isinstance(inputs, UnreadInputs):
            return self
        token, listing = (None, inputs.listing) if isinstance(inputs, FileInputs) else (inputs.token, None)
        return dataclasses.replace(self, inputs=UnreadInputs(inputs.shape, inputs.dtype, token, listing))

    @property
    def digest(self) -> str:
        """Digest of the whole content: a changed pixel or label changes it."""
        rest = {"labels": self.labels, "mislabelled": self.mislabelled}
        scaled = [] if self.scaling is None else [identity(self.scaling)]
        return digest([self.inputs.token, digest_arrays(rest), self.n_train, self.n_classes, *scaled])


def _check_finite(array: npt.NDArray[Any]) -> None:
    """Raise DataError if an input holds NaN or infinity."""
    if np.isfinite(array).all():
        return
    bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    first = array[bad[0]]
    value = first[~np.isfinite(first)][0]
    raise DataError(
        f"inputs of {len(bad)} points are not finite (first: point {bad[0]} holds {value}); clean them first"
    )


def _check_array(name: str, array: object, kinds: str, expected: str) -> None:
    """Raise DataError unless array is a plain NumPy array whose dtype.kind is one of the letters in kinds.

    If kinds is "iu", so only integers are allowed, the array must have one dimension.
    """
    if (
        not isinstance(array, np.ndarray)
        or isinstance(array, np.ma.MaskedArray)
        or array.dtype.kind not in kinds
        or (array.ndim != 1 if kinds == "iu" else array.ndim < 1)
    ):
        raise DataError(f"{name} is {describe_value(array)}; expected {expected}")
