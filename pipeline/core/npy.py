"""Opens .npy files.

Any damage raises ValueError or OSError, and nothing is ever unpickled.
"""

import contextlib
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

# Errors besides ValueError that NumPy raises when the header of a file is damaged.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
)


def read_npy(file: BinaryIO) -> npt.NDArray[Any]:
    """Return the array at the beginning of an open file, in memory; raises ValueError or OSError."""
    with _damage_named():
        return np.lib.format.read_array(file, allow_pickle=False)


def map_npy(path: Path) -> npt.NDArray[Any]:
    """Return the array in a file, mapped read-only; raises ValueError or OSError."""
    with _damage_named():
        return np.lib.format.open_memmap(path, mode="r")


@contextlib.contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(
            f"it is damaged: its header cannot be understood ({type(error).__name__})"
        ) from error
