"""Your own data without writing a class: one .npz file with four arrays, which are used as they are, neither scaled nor shuffled."""

import zipfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples

KEYS = ("train_inputs", "train_labels", "validation_inputs", "validation_labels")
HOW = f"make it with numpy.savez(path, {', '.join(f'{key}=...' for key in KEYS)})"


class ArraysFile(Dataset):
    """An .npz file: inputs (n, ...) of floats and labels (n,) of integers from 0, for training and for validation."""

    name: ClassVar[str] = "npz"

    path: Path

    def missing(self) -> str | None:
        """See Dataset."""
        return None if self.path.is_file() else _absent(self.path)

    def files(self) -> tuple[Path, ...]:
        """Return the one file."""
        return (self.path,)

    def read(self) -> Examples:
        """Return the file's examples, inputs cast to float32; n_classes is the largest label plus one.

        Raises DataError if the file or a key is missing, cannot be read without unpickling, or has another dtype or shape.
        """
        arrays = read_arrays(self.path)
        inputs = [_inputs(arrays, key, self.path) for key in ("train_inputs", "validation_inputs")]
        labels = [_labels(arrays, key, self.path) for key in ("train_labels", "validation_labels")]
        for split, split_inputs, split_labels in zip(("train", "validation"), inputs, labels, strict=True):
            if len(split_inputs) != len(split_labels) or not len(split_inputs):
                found = f"{len(split_inputs)} {split}_inputs and {len(split_labels)} {split}_labels"
                raise DataError(f"{self.path}: {found}; give one or more inputs and a label for each")
        shapes = [split_inputs.shape[1:] for split_inputs in inputs]
        if shapes[0] != shapes[1]:
            raise DataError(f"{self.path}: a training input has shape {shapes[0]}, a validation input {shapes[1]}; make them equal")
        joined = np.concatenate(labels)
        if joined.min() < 0 or joined.max() < 1:
            raise DataError(f"{self.path}: labels span {joined.min()} to {joined.max()}; expected at least two classes, numbered from 0")
        # Compared with as many numbers as there are labels: the largest may be absurd.
        present = np.unique(labels[0])
        gaps = np.flatnonzero(present != np.arange(len(present)))
        if len(gaps) or present[-1] != joined.max():
            first = gaps[0] if len(gaps) else len(present)
            raise DataError(f"{self.path}: no training point has label {first}, the largest is {joined.max()}; number the classes from 0 without gaps")
        return Examples(inputs=np.concatenate(inputs), labels=joined, n_train=len(labels[0]), n_classes=int(joined.max()) + 1)


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the four arrays of an .npz file by name; nothing is unpickled. Raises DataError if the file or one of them cannot be read."""
    if not path.is_file():
        raise DataError(_absent(path))
    if not zipfile.is_zipfile(path):
        raise DataError(f"data file {path} is not an .npz file; {HOW}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in KEYS if key not in archive]
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)} (it holds: {', '.join(archive) or 'nothing'}); {HOW}")
            return {key: np.asarray(archive[key]) for key in KEYS}
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read without unpickling ({error}); {HOW}, all arrays of numbers") from error


def _absent(path: Path) -> str:
    return f"data file {path} does not exist; {HOW}"


def _inputs(arrays: dict[str, npt.NDArray[Any]], key: str, path: Path) -> npt.NDArray[np.float32]:
    found = arrays[key]
    if found.dtype.kind == "f" and found.ndim > 1 and len(found) and not found.size:
        raise DataError(f"{path}: {key} has shape {found.shape}, so its inputs hold no features; give at least one number for each")
    if found.dtype.kind != "f" or found.ndim < 2:
        raise DataError(f"{path}: {key} is {found.dtype} of shape {found.shape}; expected floats of shape (n, ...): scale and cast them first")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which Examples refuses with the point's id
        return found.astype(np.float32)


def _labels(arrays: dict[str, npt.NDArray[Any]], key: str, path: Path) -> npt.NDArray[np.int64]:
    found = arrays[key]
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise DataError(f"{path}: {key} is {found.dtype} of shape {found.shape}; expected integers of shape (n,), numbered from 0")
    if found.size and found.max() > np.iinfo(np.int64).max:
        raise DataError(f"{path}: {key} reach {found.max()}, more than 64 bits with a sign hold; expected integers numbered from 0")
    return found.astype(np.int64)
