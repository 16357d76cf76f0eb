"""Export of datamodels as a matrix in a file, which other tools and the estimator `file` can read.

The suffix of the file gives the form: .npy, .parquet, or one of the suffixes in BARE. Files with a suffix in
BARE hold only the numbers, in C order, as the files of the method's authors do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.core.errors import ConfigError, DataError
from pipeline.graph.node import Work
from pipeline.graph.nodes.effect import Fitted
from pipeline.store.parquet import write_side_by_side

# Suffixes of files that hold bare numbers. A name without a suffix is also such a file.
BARE = (".bin", ".dat", ".memmap", ".mmap", ".raw", ".f16", ".f32", "")
# Suffixes that also name a dtype.
NAMED = {".f16": "float16", ".f32": "float32"}
Form = Literal["npy", "parquet", "memmap"]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A matrix that was written: its path, its shape (n_train, n_points, n_classes) and its dtype."""

    path: Path
    shape: tuple[int, int, int]
    dtype: str


def form_of(path: Path, dtype: str) -> Form:
    """Return the form of file that the suffix of path stands for.

    Raises ConfigError if the suffix has no form, or if it names another dtype.
    """
    suffix = path.suffix.lower()
    if NAMED.get(suffix, dtype) != dtype:
        raise ConfigError(f"the suffix of {path} is {suffix}, but dtype is {dtype}; make them agree")
    if suffix in BARE:
        return "memmap"
    if suffix == ".npy":
        return "npy"
    if suffix == ".parquet":
        return "parquet"
    bare = ", ".join(known for known in BARE if known)
    raise ConfigError(
        f"{path}: no matrix is written as {path.suffix}; expected .npy, .parquet, or for bare numbers one of "
        f"{bare}"
    )


def write_matrix(path: Path, node: Fitted, work: Work, *, dtype: str) -> Written:
    """Write the weights of node's datamodels (what each training point adds to each logit), block by block.

    The file gets its name once it is complete. Raises ConfigError if the suffix is not known, and DataError
    if the file exists already or a weight is beyond dtype.
    """
    form = form_of(path, dtype)
    if path.exists():
        raise DataError(f"{path} exists already; choose another name, or remove it")
    shape = (work.examples.n_train, work.examples.n_points, work.examples.n_classes)
    with _unfinished(path, "half") as half:
        if form == "npy":
            array = np.lib.format.open_memmap(half, mode="w+", dtype=np.dtype(dtype), shape=shape)
        else:
            array = np.memmap(half, np.dtype(dtype).newbyteorder("<"), "w+", shape=shape)
        blocks = list(_fill(array, node, work, dtype))
        array.flush()
        if form == "parquet":
            with _unfinished(path, "rows") as rows:
                columns = {
                    f"points_{block.start:06d}": array[:, block].reshape(shape[0], -1) for block in blocks
                }
                write_side_by_side(rows, columns)
                rows.rename(path)
        else:
            half.rename(path)
    return Written(path=path, shape=shape, dtype=dtype)


def _fill(array: np.ndarray, node: Fitted, work: Work, dtype: str) -> Iterator[slice]:
    """Write the weights on each block of points into array and yield the block.

    Raises DataError if a weight is beyond dtype.
    """
    for points, datamodel in node.datamodels(work):
        weights = datamodel.weights().reshape(array.shape[0], -1, array.shape[2])
        largest = np.abs(weights).max()
        if not largest <= np.finfo(dtype).max:
            raise DataError(
                f"a weight on points {points.start} to {points.stop} is {largest:.3g}, beyond {dtype}; use "
                "float32"
            )
        array[:, points] = weights
        yield points


@contextmanager
def _unfinished(path: Path, ending: str) -> Iterator[Path]:
    """Yield a path beside path for an incomplete file; a file that is still there at the end is removed."""
    half = path.with_name(f".{path.name}.{ending}")
    try:
        yield half
    finally:
        half.unlink(missing_ok=True)
