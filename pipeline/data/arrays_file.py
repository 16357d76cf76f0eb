"""Your own data without writing a class: one .npz file with four arrays, which are used as they are, neither scaled nor shuffled."""

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.core.setting_paths import why_no_file
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples

KEYS = ("train_inputs", "train_labels", "validation_inputs", "validation_labels")
HOW = f"make it with numpy.savez(path, {', '.join(f'{key}=...' for key in KEYS)})"


# What reading a damaged archive raises, whichever part of it is damaged.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, ValueError)
DAMAGED_START = "is damaged: its first bytes are not those of an archive; copy or download it again"
# What is often found under the name of an .npz file, by its first bytes in lower case.
KINDS = {
    b"pk": "is damaged: the end of the archive is missing; copy or download it again",
    b"\x93numpy": f"holds a single array (.npy); {HOW}",
    b"version https://git-lfs": "is a pointer of Git LFS, not the data; fetch them with `git lfs pull`",
    b"<": "is a web page, not data; download the file itself",
    b"\x80": f"is a pickle, which is never opened; {HOW}",
    b"\x1f\x8b": "is a gzip archive; unpack it first",
    b"\x89hdf": f"is an HDF5 file; {HOW}",
    b"par1": f"is a Parquet file; {HOW}",
}


class ArraysFile(Dataset):
    """An .npz file: inputs (n, ...) of floats and labels (n,) of integers from 0, for training and for validation."""

    name: ClassVar[str] = "npz"

    path: Path

    def missing(self) -> str | None:
        """See Dataset."""
        return _absent(self.path)

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
    absent = _absent(path)
    if absent is not None:
        raise DataError(absent)
    try:
        kind = _kind_of(path)
        if kind is not None:
            raise DataError(f"data file {path} {kind}")
        # NumPy leaves the file open if it is given a path and the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [key for key in KEYS if key not in archive]
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)} (it holds: {', '.join(archive) or 'nothing'}); {HOW}")
            return {key: _array(archive, key, path) for key in KEYS}
    except DAMAGED as error:
        raise DataError(f"{path} is damaged ({error}); copy or download it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); {HOW}") from error


def _array(archive: Any, key: str, path: Path) -> npt.NDArray[Any]:
    """Return one array of an open .npz file; raises DataError if it holds objects, is encrypted or does not fit into memory."""
    try:
        return np.asarray(archive[key])
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise DataError(f"{path}: {key} is damaged ({error}); copy or download the file again") from error
        raise DataError(f"{path}: {key} holds Python objects, which are never unpickled; save it as an array of numbers") from error
    except (RuntimeError, MemoryError) as error:
        raise DataError(f"{path}: {key} cannot be read ({error}); {HOW}") from error


def _kind_of(path: Path) -> str | None:
    """Return what a file that is no zip archive is by its first bytes, and the remedy; None for an archive."""
    with path.open("rb") as file:
        head = file.read(64)
    if zipfile.is_zipfile(path):
        return None if head.startswith(b"PK") else DAMAGED_START
    for beginning, kind in KINDS.items():
        if head.lower().lstrip().startswith(beginning):
            return kind
    return f"is not an .npz file; {HOW}" if head else f"is empty; {HOW}"


def _absent(path: Path) -> str | None:
    missing = why_no_file(path)
    return None if missing is None else f"data file {path} {missing}; {HOW}"


def _inputs(arrays: dict[str, npt.NDArray[Any]], key: str, path: Path) -> npt.NDArray[np.float32]:
    found = arrays[key]
    about = f"{path}: {key} is {found.dtype} of shape {found.shape}"
    if found.dtype.kind in "biu":
        raise DataError(f"{about}; expected floats: scale them, such as pixels / 255, and save them as float32")
    if found.dtype.kind != "f":
        raise DataError(f"{about}; expected floats of shape (n, ...)")
    if found.ndim < 2:
        raise DataError(f"{about}; expected shape (n, ...), one row for each point: reshape(-1, 1) makes one feature")
    if len(found) and not found.size:
        raise DataError(f"{path}: {key} has shape {found.shape}, so its inputs hold no features; give at least one number for each")
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    bad = np.argwhere(~np.isfinite(single))
    if len(bad):
        raise DataError(f"{path}: {key}: {_why_not_finite(found, bad)}")
    return single


def _why_not_finite(found: npt.NDArray[np.floating[Any]], bad: npt.NDArray[np.int64]) -> str:
    """Return what is wrong with the first of the numbers at bad, which are not finite as float32."""
    value, place = found[tuple(bad[0])], "[" + ", ".join(map(str, bad[0])) + "]"
    others = f", one of {len(bad)} such numbers" if len(bad) > 1 else ""
    if np.isfinite(value):
        return f"{place} is {value:.4g}{others}: too large for float32, which ends at {np.finfo(np.float32).max:.2g}; scale the inputs"
    return f"{place} is {value}{others}; replace or leave out what is not finite"


def _labels(arrays: dict[str, npt.NDArray[Any]], key: str, path: Path) -> npt.NDArray[np.int64]:
    found = arrays[key]
    if found.dtype.kind not in "iu" or found.ndim != 1:
        about = f"{path}: {key} is {found.dtype} of shape {found.shape}; expected integers of shape (n,), numbered from 0"
        raise DataError(f"{about}{_remedy(found)}")
    if found.size and found.max() > np.iinfo(np.int64).max:
        raise DataError(f"{path}: {key} reach {found.max()}, more than 64 bits with a sign hold; expected integers numbered from 0")
    return found.astype(np.int64)


def _remedy(labels: npt.NDArray[Any]) -> str:
    """Return how labels of a common other form become integers of shape (n,)."""
    if labels.dtype.kind in "biuf" and labels.ndim == 2:
        return ": ravel() them" if labels.shape[1] == 1 else ": argmax(axis=1) turns one column a class into labels"
    if labels.dtype.kind in "bf" and labels.ndim == 1:
        return ": save them with astype(int)"
    return ": numpy.unique(labels, return_inverse=True)[1] numbers names" if labels.dtype.kind in "SU" else ""
