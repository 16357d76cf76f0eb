"""Forget sets listed in a file.

What counts for identity is the ids in it, not its format or the order of its lines.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.core.arrays import Indices, Margins
from pipeline.core.fingerprint import digest_arrays
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set
from pipeline.data.point_ids import read_ids

__all__ = ["IndexFile", "read_ids"]


class IndexFile(ForgetSet):
    """The training points whose ids a .npy, .txt, .csv or .parquet file lists.

    Of several columns, the one called id or index.
    """

    name: ClassVar[str] = "file"

    path: Path

    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the file's ids.

        Raises DataError if it cannot be read or lists an id that is no training point or comes twice.
        """
        return checked_forget_set(read_ids(self.path), examples)

    def content(self) -> str:
        """Return the digest of the file's sorted ids; raises DataError if it cannot be read."""
        return digest_arrays({"ids": np.sort(read_ids(self.path))})
