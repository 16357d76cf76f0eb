"""Forget sets listed in a file; what counts for identity is the ids in it, not its format or the order of its lines."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.core.arrays import Indices, Margins
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest_arrays
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked

ID_COLUMNS = ("id", "index")


class IndexFile(ForgetSet):
    """The training points whose ids a .npy, .txt, .csv or .parquet file lists; tables have one column, or one called id or index."""

    name: ClassVar[str] = "file"

    path: Path

    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the file's ids; raises DataError if it cannot be read or lists an id that is no training point or comes twice."""
        return checked(read_ids(self.path), examples)

    def content(self) -> str:
        """Return the digest of the file's sorted ids; raises DataError if it cannot be read."""
        return digest_arrays({"ids": np.sort(read_ids(self.path))})


def read_ids(path: Path) -> npt.NDArray[np.int64]:
    """Return the ids in a file, in its order; raises DataError if it is missing, of an unknown kind or holds anything but integers."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"forget set file {path} ends in {path.suffix!r}; expected one of {', '.join(READERS)}")
    if not path.is_file():
        raise DataError(f"forget set file {path} does not exist; give the path of a {', '.join(READERS)} file of training ids")
    try:
        return reader(path)
    except (OSError, EOFError, ValueError, OverflowError, csv.Error) as error:
        raise DataError(f"forget set file {path} cannot be read ({error}); expected a {path.suffix} file of integer training ids") from error


def _read_npy(path: Path) -> npt.NDArray[np.int64]:
    with path.open("rb") as file:
        found: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise ValueError(f"it holds {found.dtype} of shape {found.shape}")
    return found.astype(np.int64)


def _read_txt(path: Path) -> npt.NDArray[np.int64]:
    return _integers(path.read_text(encoding="utf-8-sig").split())


def _read_csv(path: Path) -> npt.NDArray[np.int64]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows:
        return _integers([])
    is_headless = len(rows[0]) == 1 and rows[0][0].strip().lstrip("+-").isdigit()
    column = 0 if is_headless else _id_column(rows[0])
    if any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"its rows have from {min(map(len, rows))} to {max(map(len, rows))} columns")
    return _integers([row[column] for row in rows[0 if is_headless else 1 :]])


def _read_parquet(path: Path) -> npt.NDArray[np.int64]:
    import pandas  # here, because the import takes .4 s and few runs read Parquet from users

    frame = pandas.read_parquet(path)
    column = frame.iloc[:, _id_column([str(name) for name in frame.columns])]
    if not pandas.api.types.is_integer_dtype(column.dtype):
        raise ValueError(f"column {column.name!r} holds {column.dtype}")
    return column.to_numpy(dtype=np.int64)


def _id_column(names: Sequence[str]) -> int:
    stripped = [name.strip().lower() for name in names]
    for wanted in ID_COLUMNS:
        if wanted in stripped:
            return stripped.index(wanted)
    if len(stripped) != 1:
        raise ValueError(f"its columns are {', '.join(names) or 'none'}; one column is needed, or one called {' or '.join(ID_COLUMNS)}")
    return 0


def _integers(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([int(text) for text in texts], dtype=np.int64)


READERS: Mapping[str, Callable[[Path], npt.NDArray[np.int64]]] = {".npy": _read_npy, ".txt": _read_txt, ".csv": _read_csv, ".parquet": _read_parquet}
