"""Forget sets listed in a file.

Their identity depends on the ids in the file, not on its format or the order of its lines.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.arrays import Indices, Margins
from pipeline.core.fingerprint import digest_arrays
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set
from pipeline.data.point_ids import read_ids

__all__ = ["IndexFile", "read_ids"]


class IndexFile(ForgetSet):
    """The training points whose ids a .npy, .txt, .csv or .parquet file lists.

    If there are several columns, the one called id or index is read.
    """

    name: ClassVar[str] = "file"

    path: Path

    @override
    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the file's ids.

        Raises DataError if the file cannot be read, lists an id twice or lists an id of no training point.
        """
        return checked_forget_set(read_ids(self.path), examples)

    @override
    def content(self) -> str:
        """Return the digest of the file's sorted ids; raises DataError if it cannot be read."""
        return digest_arrays({"ids": np.sort(read_ids(self.path))})
