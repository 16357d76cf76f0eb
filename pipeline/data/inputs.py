"""Inputs of data sets, read a few points at a time, because a data set may be larger than memory.

Arrays in memory are here, memory-mapped arrays in `mapped_inputs`, image files in `image_files`.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.errors import DataError, InputsNotReadError, PipelineError, PluginError
from pipeline.core.fingerprint import digest_arrays
from pipeline.core.settings.type_hints import describe_value


class Inputs(ABC):
    """The inputs of a data set: (n_points, ...) numbers of one dtype, which can be read for any points.

    A class that declares the four members counts as Inputs, even if it does not inherit from this class.
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
        """Digest of the content, which changes if a number changes; raises DataError if it is unreadable."""

    @abstractmethod
    def take(self, ids: Indices) -> npt.NDArray[Any]:
        """Return the inputs of points ids, (n_ids, ...), in that order; raises DataError."""

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        """Return whether a class declares all abstract members.

        Only their names are looked up: computing a token, for example, may take long.
        """
        if cls is not Inputs:
            return NotImplemented
        declared = {
            name for base in other.__mro__ for name in (*vars(base), *vars(base).get("__annotations__", ()))
        }
        return declared.issuperset(cls.__abstractmethods__) or NotImplemented


class ArrayInputs(Inputs):
    """An array in memory as inputs.

    It can be indexed and converted, for code that needs the whole array at once.
    """

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    @override
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @cached_property
    @override
    def token(self) -> str:
        return digest_arrays({"inputs": self.array})

    @override
    def take(self, ids: Indices) -> npt.NDArray[Any]:
        return self.array[np.asarray(ids)]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, key: Any) -> Any:
        return self.array[key]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.array, dtype, copy=copy)


class UnreadInputs(Inputs):
    """Inputs for commands such as `dmm status`, which need only shape and dtype and read no numbers.

    token is the digest of the content, if it is known without reading the inputs. listing is that of
    FileInputs, or None if the inputs have none.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        token: str | None = None,
        listing: str | None = None,
    ) -> None:
        self._shape, self._dtype, self._token, self.listing = shape, dtype, token, listing

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    @override
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    @property
    @override
    def token(self) -> str:
        """Digest of the content; raises InputsNotReadError if it is not known."""
        if self._token is None:
            raise _not_read()
        return self._token

    @override
    def take(self, ids: Indices) -> npt.NDArray[Any]:
        """Raise InputsNotReadError, because these inputs are not read."""
        raise _not_read()

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, key: Any) -> Any:
        raise _not_read()

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        raise _not_read()


def _not_read() -> InputsNotReadError:
    return InputsNotReadError("inputs are not read by this command; `dmm plan` and `dmm run` read them")


class FileInputs(Inputs):
    """Inputs that lie in files and are read on request.

    All files must be read once to compute digests, which may take long. `contents` returns these digests, and
    `adopt` gives them to another process, which then need not compute them. They are valid while `listing` is
    the same.
    """

    @property
    @abstractmethod
    def listing(self) -> str:
        """Digest of the paths, sizes and times of the files; no file is read."""

    @property
    @abstractmethod
    def contents(self) -> Any:
        """Digests from reading all files, ready for JSON; raises DataError if a file cannot be read."""

    @abstractmethod
    def adopt(self, contents: Any) -> None:
        """Use `contents` that another process found for the same listing, instead of reading the files."""


def read_inputs(inputs: Inputs, ids: Indices) -> npt.NDArray[Any]:
    """Return the inputs of points ids, checked: (n_ids, ...) numbers of their dtype.

    Raises PluginError if a class from outside the package returns something else or fails, and DataError for
    numbers that are not finite.
    """
    try:
        found = inputs.take(ids)
    except (PipelineError, MemoryError, KeyboardInterrupt):
        raise
    # A class from outside the package may raise anything, and files may fail in many ways.
    except Exception as error:
        raise PluginError(
            f"inputs of class {type(inputs).__qualname__} cannot be read ({type(error).__name__}: {error})"
        ) from error
    if isinstance(inputs, ArrayInputs):
        return found
    expected = (len(ids), *inputs.shape[1:])
    if not isinstance(found, np.ndarray) or found.shape != expected or found.dtype != inputs.dtype:
        raise PluginError(
            f"take() of {type(inputs).__qualname__} returned {describe_value(found)}; expected "
            f"{inputs.dtype} of shape {expected}"
        )
    bad = first_not_finite(found)
    if bad is not None:
        raise DataError(
            f"the input of point {int(ids[bad])} contains NaN, infinity or a number too large for "
            "float32; clean or scale it first"
        )
    return found


def first_not_finite(inputs: npt.NDArray[Any]) -> int | None:
    """Return the first row that holds a number that is not finite as float32, or None."""
    if inputs.dtype.kind != "f":
        return None
    with np.errstate(over="ignore"):
        finite = np.isfinite(inputs.astype(np.float32, copy=False))
    return None if finite.all() else int(np.flatnonzero(~finite.reshape(len(inputs), -1).all(axis=1))[0])
