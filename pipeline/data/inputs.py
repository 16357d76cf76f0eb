"""Inputs: what models see of each point, read a few points at a time, so that a data set may be larger than memory.

Kinds: arrays in memory here.
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.arrays import Indices
from pipeline.core.fingerprint import digest_arrays


class Inputs(ABC):
    """The inputs of a data set: (n_points, ...) numbers of one dtype, of which any points can be had.

    A class that declares the four members is one, whether it inherits from this class or not.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Number of points, then the shape of one input; known without reading an input."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers; known without reading an input."""

    @property
    @abstractmethod
    def token(self) -> str:
        """Digest of the content: equal for equal numbers, another one when a number changes. Raises DataError."""

    @abstractmethod
    def take(self, ids: Indices) -> npt.NDArray[Any]:
        """Return the inputs of points ids, (n_ids, ...), in that order; raises DataError if they cannot be read."""

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        """Return whether a class declares the members; none of them is evaluated, since a token may take long."""
        if cls is not Inputs:
            return NotImplemented
        declared = {name for base in other.__mro__ for name in (*vars(base), *vars(base).get("__annotations__", ()))}
        return declared.issuperset(cls.__abstractmethods__) or NotImplemented


class ArrayInputs(Inputs):
    """An array in memory as inputs. It can be indexed and converted as an array, for code that needs all of it at once."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """See Inputs."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See Inputs."""
        return self.array.dtype

    @cached_property
    def token(self) -> str:
        """See Inputs."""
        return digest_arrays({"inputs": self.array})

    def take(self, ids: Indices) -> npt.NDArray[Any]:
        """See Inputs."""
        return self.array[np.asarray(ids)]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, key: Any) -> Any:
        return self.array[key]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.array, dtype, copy=copy)


def n_bytes(inputs: Inputs) -> int:
    """Return how much memory all inputs take in their own dtype."""
    return math.prod(inputs.shape) * inputs.dtype.itemsize
