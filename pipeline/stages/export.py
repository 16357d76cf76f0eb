"""Our datamodels as a matrix in a file, for other tools and for the `file` estimator: the layout of the method's authors, or .npy of the same shape."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import DataError
from pipeline.stages.effect import Fitted
from pipeline.stages.node import Work


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written where: numbers of dtype, (n_train, n_points, n_classes)."""

    path: Path
    shape: tuple[int, int, int]
    dtype: str


def write_matrix(path: Path, node: Fitted, work: Work, *, dtype: str) -> Written:
    """Write what each training point adds to each logit, at the penalty that predicts best, block by block; a file half written has another name.

    A path that ends in .npy gets NumPy's header, any other bare numbers in C order. Raises DataError if the file is there already, or a weight
    is beyond dtype.
    """
    if path.exists():
        raise DataError(f"{path} exists already; choose another name, or remove it")
    shape = (work.examples.n_train, work.examples.n_points, work.examples.n_classes)
    half = path.with_name(f".{path.name}.half")
    if path.suffix == ".npy":
        array = np.lib.format.open_memmap(half, mode="w+", dtype=np.dtype(dtype), shape=shape)
    else:
        array = np.memmap(half, np.dtype(dtype).newbyteorder("<"), "w+", shape=shape)
    try:
        for points, datamodel in node.datamodels(work):
            weights = datamodel.weights().reshape(shape[0], -1, shape[2])
            largest = np.abs(weights).max()
            if not largest <= np.finfo(dtype).max:
                raise DataError(f"a weight on points {points.start} to {points.stop} is {largest:.3g}, beyond {dtype}; use float32")
            array[:, points] = weights
        array.flush()
        half.rename(path)
    finally:
        half.unlink(missing_ok=True)
    return Written(path=path, shape=shape, dtype=dtype)
