"""Examples: inputs, labels and the split; training points come first, so ids below n_train are training points."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest, digest_arrays
from pipeline.core.fitting import describe_value, fits


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A data set in memory.

    inputs (n_points, ...) float32; labels (n_points,) int64 in [0, n_classes); the first n_train points are for training,
    the rest for validation. mislabelled (n_mislabelled,) are the training ids whose labels were flipped on purpose.
    Raises DataError if shapes, ranges or values cannot be trained on.
    """

    inputs: Float[np.ndarray, "n_points ..."]
    labels: Int[np.ndarray, " n_points"]
    n_train: int
    n_classes: int
    mislabelled: Int[np.ndarray, " n_mislabelled"] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        self._check_kinds()
        if len(self.inputs) != len(self.labels):
            raise DataError(f"{len(self.inputs)} inputs but {len(self.labels)} labels; give one label for each input")
        if not 0 < self.n_train < len(self.labels):
            raise DataError(f"n_train is {self.n_train} of {len(self.labels)} points; at least one training and one validation point are needed")
        if self.n_classes < 2:
            raise DataError(f"n_classes is {self.n_classes}; expected at least two classes, numbered from 0")
        if self.inputs.size == 0:
            raise DataError(f"inputs have shape {self.inputs.shape}, so that they hold no features; give at least one number for each point")
        if self.labels.min() < 0 or self.labels.max() >= self.n_classes:
            raise DataError(f"labels span {self.labels.min()} to {self.labels.max()}; expected 0 to {self.n_classes - 1}")
        if not np.isfinite(self.inputs).all():
            bad = np.flatnonzero(~np.isfinite(self.inputs.reshape(len(self.inputs), -1)).all(axis=1))
            first = self.inputs[bad[0]]
            value = first[~np.isfinite(first)][0]
            raise DataError(f"inputs of {len(bad)} points are not finite (first: point {bad[0]} holds {value}); clean them first")

    def _check_kinds(self) -> None:
        """Raise DataError unless arrays and counts are of the right kind; counts of NumPy's types become Python's own."""
        _check_array("inputs", self.inputs, "biuf", "a NumPy array of numbers, (n_points, ...)")
        _check_array("labels", self.labels, "iu", "a NumPy array of integers, (n_points,)")
        _check_array("mislabelled", self.mislabelled, "iu", "a NumPy array of training ids, (n_mislabelled,)")
        for name in ("n_train", "n_classes"):
            count = getattr(self, name)
            if not fits(count, int):
                raise DataError(f"{name} is {describe_value(count)}; expected an integer")
            object.__setattr__(self, name, int(count))
        outside = self.mislabelled[(self.mislabelled < 0) | (self.mislabelled >= self.n_train)]
        if outside.size:
            raise DataError(f"mislabelled holds id {outside[0]}; expected ids of training points, 0 to {self.n_train - 1}")

    @property
    def n_points(self) -> int:
        """Number of points, training and validation."""
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.inputs.shape[1:])

    @property
    def digest(self) -> str:
        """Digest of the whole content: a changed pixel or label changes it."""
        inputs = digest_arrays({"inputs": self.inputs})
        rest = {"labels": self.labels, "mislabelled": self.mislabelled}
        return digest([inputs, digest_arrays(rest), self.n_train, self.n_classes])


def _check_array(name: str, array: object, kinds: str, expected: str) -> None:
    """Raise DataError unless array is a plain NumPy array of one of the kinds of dtype; integers are in one dimension."""
    if (
        not isinstance(array, np.ndarray)
        or isinstance(array, np.ma.MaskedArray)
        or array.dtype.kind not in kinds
        or (array.ndim != 1 if kinds == "iu" else array.ndim < 1)
    ):
        raise DataError(f"{name} is {describe_value(array)}; expected {expected}")
