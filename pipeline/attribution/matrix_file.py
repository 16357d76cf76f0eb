"""Matrices of weights in files, mapped into memory or read column by column.

A matrix has one row for each training point. A row holds the numbers of each point in turn, training points
first: all logits of the point, or its margin. Pickled data is refused, because loading it can run code.
"""

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.errors import DataError
from pipeline.core.fingerprint import DIGEST_LENGTH
from pipeline.core.npy import map_npy
from pipeline.store.parquet import SideBySide

LayoutName = Literal["memmap", "npy", "parquet"]
# Number of bytes that are read and checked at once.
_CHUNK = 1 << 26

_Numbers = Float[np.ndarray, "n_train n_columns"]


@dataclass(frozen=True)
class Mapped:
    """A matrix in a memory-mapped file; reading some rows of some columns reads only these."""

    array: _Numbers

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.array.shape[0], self.array.shape[1]

    def columns(self, wanted: Int[np.ndarray, " n_wanted"]) -> _Numbers:
        """Return the wanted columns; if they are adjacent, they stay mapped to the file."""
        first = int(wanted[0])
        neighbours = np.array_equal(wanted, np.arange(first, first + len(wanted)))
        return self.array[:, first : first + len(wanted)] if neighbours else self.array[:, wanted]


@dataclass(frozen=True)
class Columnar:
    """A matrix in a Parquet file, each column of which holds one or more columns of the matrix."""

    file: SideBySide

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns of the matrix."""
        return self.file.n_rows, sum(self.file.widths.values())

    def columns(self, wanted: Int[np.ndarray, " n_wanted"]) -> _Numbers:
        """Return the wanted columns of the matrix; only file columns that hold some of them are read."""
        ends = np.cumsum(list(self.file.widths.values()))
        starts = np.concatenate([[0], ends[:-1]])
        holders = np.unique(np.searchsorted(ends, wanted, side="right"))
        places = np.concatenate([np.arange(starts[holder], ends[holder]) for holder in holders])
        names = list(self.file.widths)
        return self.file.read([names[holder] for holder in holders])[:, np.searchsorted(places, wanted)]


Matrix = Mapped | Columnar


@dataclass(frozen=True)
class _Content:
    """What is found when a whole file is read.

    digest: the shortened SHA-256 digest of its numbers. broken: the place of the first number that is not
    finite, counted row by row; None if all are finite.
    """

    digest: str
    broken: int | None


def open_matrix(path: Path, layout: LayoutName, dtype: str, n_train: int) -> Matrix:
    """Return the matrix in a file.

    Raises DataError if the file cannot be read or does not hold n_train rows of equal length.
    """
    with _reading(path, layout):
        if layout == "parquet":
            found: Matrix = Columnar(SideBySide(path, dtype))
            if found.shape[0] != n_train:
                raise ValueError(f"it has {found.shape[0]} rows for {n_train} training points")
            return found
        array = _open_mapped(path, layout, dtype)
        if array.size % n_train or (array.ndim > 1 and len(array) != n_train):
            raise ValueError(f"its shape is {array.shape}, for {n_train} training points")
        return Mapped(array.reshape(n_train, -1))


def look_at(path: Path, layout: LayoutName, dtype: str) -> _Content:
    """Read a whole file; return the digest and the first number that is not finite.

    A process reads the file again only if its size or its time of change differs. Raises DataError if the
    file cannot be read.
    """
    with _reading(path, layout):
        about = path.stat()
        return _look_at(path, layout, dtype, (about.st_size, about.st_mtime_ns))


@functools.lru_cache(maxsize=16)
def _look_at(path: Path, layout: LayoutName, dtype: str, version: tuple[int, int]) -> _Content:
    total, broken, n_seen = hashlib.sha256(), None, 0
    for chunk in _chunks(path, layout, dtype):
        total.update(chunk.view(np.uint8).data)
        if broken is None and not np.isfinite(chunk).all():
            broken = n_seen + int(np.flatnonzero(~np.isfinite(chunk))[0])
        n_seen += len(chunk)
    return _Content(total.hexdigest()[:DIGEST_LENGTH], broken)


def _chunks(path: Path, layout: LayoutName, dtype: str) -> Iterator[Float[np.ndarray, " n_numbers"]]:
    """Yield all numbers of a file in order, in chunks."""
    if layout == "parquet":
        file = SideBySide(path, dtype)
        for batch in file.batches(max(1, _CHUNK // (8 * max(1, sum(file.widths.values()))))):
            yield np.ascontiguousarray(batch).reshape(-1)
        return
    flat = _open_mapped(path, layout, dtype).reshape(-1)
    step = _CHUNK // flat.itemsize
    for start in range(0, len(flat), step):
        yield flat[start : start + step]


@contextmanager
def _reading(path: Path, layout: LayoutName) -> Iterator[None]:
    """Turn errors in reading a file into a DataError that names the file."""
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n", 1)[0]
        raise DataError(
            f"attribution file {path} cannot be used as {layout} ({reason}); expected a matrix with one row "
            "for each training point"
        ) from error


def _open_mapped(path: Path, layout: LayoutName, dtype: str) -> np.ndarray:
    """Return the numbers in a `memmap` or `npy` file as a memory-mapped array.

    Raises OSError or ValueError unless the file holds floats in C order.
    """
    if layout == "npy":
        found = map_npy(path)
        if found.dtype.kind != "f" or not found.flags.c_contiguous or not found.size:
            order = "" if found.flags.c_contiguous else " in Fortran order"
            raise ValueError(f"it holds {found.dtype} of shape {found.shape}{order}; save floats in C order")
        return found
    n_bytes, kind = path.stat().st_size, np.dtype(dtype).newbyteorder("<")
    if not n_bytes or n_bytes % kind.itemsize:
        raise ValueError(f"its {n_bytes} bytes are not a whole number of {dtype}")
    return np.memmap(path, kind, "r")
