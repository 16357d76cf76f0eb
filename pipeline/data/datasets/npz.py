"""Your own data without a class: an .npz file with four arrays, or a folder of four .npy files.

The arrays are used as they are: not shuffled, and scaled only if `scaling` is set.
"""

import contextlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pipeline.core.errors import DataError
from pipeline.core.npy import read_npy
from pipeline.core.settings.paths import why_no_file
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.data.inputs import UnreadInputs
from pipeline.data.mapped_inputs import MappedInputs

KEYS = ("train_inputs", "train_labels", "validation_inputs", "validation_labels")
INPUT_KEYS, LABEL_KEYS = KEYS[::2], KEYS[1::2]
_HOW = f"make it with numpy.savez(path, {', '.join(f'{key}=...' for key in KEYS)})"


# The errors that a damaged archive may raise, depending on which part is damaged.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, ValueError)
DAMAGED_START = "is damaged: its first bytes are not those of an archive; copy or download it again"
# Other kinds of files that often have the name of an .npz file, by their first bytes in lower case.
_KINDS = {
    b"pk": "is damaged: the end of the archive is missing; copy or download it again",
    b"\x93numpy": f"holds a single array (.npy); {_HOW}",
    b"version https://git-lfs": "is a pointer of Git LFS, not the data; fetch them with `git lfs pull`",
    b"<": "is a web page, not data; download the file itself",
    b"\x80": f"is a pickle, which is never opened; {_HOW}",
    b"\x1f\x8b": "is a gzip archive; unpack it first",
    b"\x89hdf": f"is an HDF5 file; {_HOW}",
    b"par1": f"is a Parquet file; {_HOW}",
}


class ArraysFile(Dataset):
    """An .npz file or a folder of .npy files with four arrays: inputs and labels of training and validation.

    Inputs (n, ...) are floats and labels (n,) are integers from 0. If path is a folder, it holds the four
    arrays as .npy files, and the inputs are memory-mapped, so they may be larger than memory. With `scaling`,
    inputs may also be integers, such as pixels of one byte, and keep their type.
    """

    name: ClassVar[str] = "npz"

    path: Path

    @override
    def missing(self) -> str | None:
        return _absent(self.path)

    @override
    def read(self) -> Examples:
        """Return the examples; n_classes is the largest label plus one.

        Floats of an .npz file become float32. Raises DataError if the file or a key is missing, cannot be
        read without unpickling, or has another dtype or shape.
        """
        if self.path.is_dir():
            return self._read_folder()
        arrays = read_arrays(self.path)
        inputs = [
            _inputs(arrays, key, self.path, takes_integers=self.scaling is not None) for key in INPUT_KEYS
        ]
        labels, n_train = _joined_labels(arrays, [part.shape for part in inputs], self.path)
        return Examples(
            inputs=np.concatenate(inputs), labels=labels, n_train=n_train, n_classes=int(labels.max()) + 1
        )

    @override
    def read_outline(self) -> Examples:
        """Return the examples with inputs of which only headers were read; raises DataError."""
        if self.path.is_dir():
            return self._read_folder()
        arrays, headers = read_labels(self.path)
        kept = [dtype for _, dtype in headers if dtype.kind in "iu"] if self.scaling is not None else []
        dtype = np.result_type(*kept) if len(kept) == len(headers) else np.dtype(np.float32)
        labels, n_train = _joined_labels(arrays, [shape for shape, _ in headers], self.path)
        inputs = UnreadInputs((len(labels), *headers[0][0][1:]), dtype)
        return Examples(inputs=inputs, labels=labels, n_train=n_train, n_classes=int(labels.max()) + 1)

    def _read_folder(self) -> Examples:
        parts = [MappedInputs([self.path / f"{key}.npy"]) for key in INPUT_KEYS]
        for key, part in zip(INPUT_KEYS, parts, strict=True):
            _check_inputs(part.dtype, part.shape, key, self.path, takes_integers=self.scaling is not None)
        arrays = {key: read_array(self.path / f"{key}.npy") for key in LABEL_KEYS}
        labels, n_train = _joined_labels(arrays, [part.shape for part in parts], self.path)
        inputs = MappedInputs([self.path / f"{key}.npy" for key in INPUT_KEYS])
        return Examples(inputs=inputs, labels=labels, n_train=n_train, n_classes=int(labels.max()) + 1)


def _joined_labels(
    arrays: Mapping[str, npt.NDArray[Any]], shapes: Sequence[tuple[int, ...]], path: Path
) -> tuple[npt.NDArray[np.int64], int]:
    """Return the labels of both splits and the number of training labels.

    shapes are those of the inputs of both splits. Raises DataError unless there is one label for each input,
    inputs of both splits have the same shape, and training labels number the classes from 0 without gaps.
    """
    labels = [_labels(arrays, key, path) for key in LABEL_KEYS]
    for split, shape, split_labels in zip(("train", "validation"), shapes, labels, strict=True):
        if shape[0] != len(split_labels) or not shape[0]:
            found = f"{shape[0]} {split}_inputs and {len(split_labels)} {split}_labels"
            raise DataError(f"{path}: {found}; give one or more inputs and a label for each")
    if shapes[0][1:] != shapes[1][1:]:
        raise DataError(
            f"{path}: a training input has shape {shapes[0][1:]}, a validation input {shapes[1][1:]}; make "
            "them equal"
        )
    joined = np.concatenate(labels)
    if joined.min() < 0 or joined.max() < 1:
        raise DataError(
            f"{path}: labels span {joined.min()} to {joined.max()}; expected at least two classes, numbered "
            "from 0"
        )
    # The labels are not compared with the range of all classes: one absurdly large label would fill memory.
    present = np.unique(labels[0])
    gaps = np.flatnonzero(present != np.arange(len(present)))
    if len(gaps) or present[-1] != joined.max():
        first = gaps[0] if len(gaps) else len(present)
        raise DataError(
            f"{path}: no training point has label {first}, the largest is {joined.max()}; number the classes "
            "from 0 without gaps"
        )
    return joined, len(labels[0])


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the four arrays of an .npz file by name; nothing is unpickled.

    Raises DataError if the file or one of the arrays cannot be read.
    """
    with _opened(path) as archive:
        return {key: _array(archive, key, path) for key in KEYS}


def read_labels(
    path: Path,
) -> tuple[dict[str, npt.NDArray[Any]], list[tuple[tuple[int, ...], np.dtype[Any]]]]:
    """Return the labels of an .npz file by name, and shape and dtype of its inputs; raises DataError."""
    with _opened(path) as archive:
        headers = [_header(archive, key, path) for key in INPUT_KEYS]
        return {key: _array(archive, key, path) for key in LABEL_KEYS}, headers


def read_array(path: Path) -> npt.NDArray[Any]:
    """Return the array of an .npy file; nothing is unpickled. Raises DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return read_npy(file)
    except ValueError as error:
        raise DataError(
            f"{path} is not an array of numbers ({error}); save it with numpy.save(path, array)"
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}); save it with numpy.save(path, array)"
        ) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open an .npz file that holds the four arrays; any problem with it is a DataError."""
    absent = _absent(path)
    if absent is not None:
        raise DataError(absent)
    try:
        kind = _kind_of(path)
        if kind is not None:
            raise DataError(f"data file {path} {kind}")
        # If the archive is damaged and NumPy was given a path, NumPy leaves the file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [key for key in KEYS if key not in archive]
            if missing:
                raise DataError(
                    f"{path} lacks {', '.join(missing)} (it holds: {', '.join(archive) or 'nothing'}); {_HOW}"
                )
            yield archive
    except DAMAGED as error:
        raise DataError(f"{path} is damaged ({error}); copy or download it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); {_HOW}") from error


def _header(archive: Any, key: str, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of one array of an open .npz file, from its header."""
    with archive.zip.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    if len(shape) < 2:
        raise DataError(
            f"{path}: {key} is {dtype} of shape {shape}; expected shape (n, ...), one row for each point"
        )
    return shape, dtype


def _array(archive: Any, key: str, path: Path) -> npt.NDArray[Any]:
    """Return one array of an open .npz file.

    Raises DataError if it holds objects, is encrypted or does not fit into memory.
    """
    try:
        return np.asarray(archive[key])
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise DataError(f"{path}: {key} is damaged ({error}); copy or download the file again") from error
        raise DataError(
            f"{path}: {key} contains Python objects, which are never unpickled; save it as an array of "
            "numbers"
        ) from error
    except (RuntimeError, MemoryError) as error:
        raise DataError(f"{path}: {key} cannot be read ({error}); {_HOW}") from error


def _kind_of(path: Path) -> str | None:
    """Return the kind of a file that is no zip archive, with the remedy, or None for an archive.

    The first bytes of the file show its kind.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if zipfile.is_zipfile(path):
        return None if head.startswith(b"PK") else DAMAGED_START
    for beginning, kind in _KINDS.items():
        if head.lower().lstrip().startswith(beginning):
            return kind
    return f"is not an .npz file; {_HOW}" if head else f"is empty; {_HOW}"


def _absent(path: Path) -> str | None:
    try:
        if path.is_dir():
            lacking = [f"{key}.npy" for key in KEYS if not (path / f"{key}.npy").is_file()]
            return (
                f"data folder {path} lacks {', '.join(lacking)}; save each with numpy.save(path, array)"
                if lacking
                else None
            )
    except OSError as error:
        return f"data folder {path} cannot be opened ({error.strerror}); make it readable"
    missing = why_no_file(path)
    return None if missing is None else f"data file {path} {missing}; {_HOW}"


def _check_inputs(
    dtype: np.dtype[Any], shape: tuple[int, ...], key: str, path: Path, *, takes_integers: bool
) -> None:
    """Raise DataError unless inputs of this dtype and shape can be used; integers need `scaling`."""
    about = f"{path}: {key} is {dtype} of shape {shape}"
    if dtype.kind in "iu" and not takes_integers:
        raise DataError(
            f"{about}; say how they are scaled, such as dataset.scaling.divide_by=255 for pixels, or save "
            "floats"
        )
    if dtype.kind not in "iuf":
        raise DataError(f"{about}; expected floats of shape (n, ...), or integers and `scaling`")
    if len(shape) < 2:
        raise DataError(
            f"{about}; expected shape (n, ...), one row for each point: reshape(-1, 1) makes one feature"
        )
    if shape[0] and 0 in shape:
        raise DataError(
            f"{path}: {key} has shape {shape}, so a point has no features; give at least one number for each"
        )


def _inputs(
    arrays: Mapping[str, npt.NDArray[Any]], key: str, path: Path, *, takes_integers: bool
) -> npt.NDArray[Any]:
    found = arrays[key]
    _check_inputs(found.dtype, found.shape, key, path, takes_integers=takes_integers)
    if found.dtype.kind in "iu":
        return found
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    bad = np.argwhere(~np.isfinite(single))
    if len(bad):
        raise DataError(f"{path}: {key}: {_why_not_finite(found, bad)}")
    return single


def _why_not_finite(found: npt.NDArray[np.floating[Any]], bad: npt.NDArray[np.int64]) -> str:
    """Return a message on the first of the numbers at bad, which are not finite as float32."""
    value, place = found[tuple(bad[0])], "[" + ", ".join(map(str, bad[0])) + "]"
    others = f", one of {len(bad)} such numbers" if len(bad) > 1 else ""
    if np.isfinite(value):
        return (
            f"{place} is {value:.4g}{others}: too large for float32, which ends at "
            f"{np.finfo(np.float32).max:.2g}; scale the inputs"
        )
    return f"{place} is {value}{others}; replace or leave out what is not finite"


def _labels(arrays: Mapping[str, npt.NDArray[Any]], key: str, path: Path) -> npt.NDArray[np.int64]:
    found = arrays[key]
    if found.dtype.kind not in "iu" or found.ndim != 1:
        about = (
            f"{path}: {key} is {found.dtype} of shape {found.shape}; expected integers of shape (n,), "
            "numbered from 0"
        )
        raise DataError(f"{about}{_remedy(found)}")
    if found.size and found.max() > np.iinfo(np.int64).max:
        raise DataError(
            f"{path}: {key} reach {found.max()}, more than 64 bits with a sign hold; expected integers "
            "numbered from 0"
        )
    return found.astype(np.int64)


def _remedy(labels: npt.NDArray[Any]) -> str:
    """Return the code that turns labels of another common form into integers of shape (n,)."""
    if labels.dtype.kind in "biuf" and labels.ndim == 2:
        return (
            ": ravel() them"
            if labels.shape[1] == 1
            else ": argmax(axis=1) turns one column a class into labels"
        )
    if labels.dtype.kind in "bf" and labels.ndim == 1:
        return ": save them with astype(int)"
    return ": numpy.unique(labels, return_inverse=True)[1] numbers names" if labels.dtype.kind in "SU" else ""
