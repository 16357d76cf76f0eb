"""Memory-mapped arrays as inputs: the operating system reads only the requested parts of .npy files."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import Version, digest, digest_parts, version_of
from pipeline.core.npy import map_npy
from pipeline.data.inputs import FileInputs, first_not_finite

# Bytes of a file that are hashed at once.
PART = 2**24
_HOW = "save it with numpy.save(path, array)"

# How many leading entries of a Version are the same on all machines: size and time of the content.
N_SHARED = 2


class MappedInputs(FileInputs):
    """The rows of one or more .npy files, one file after the other, mapped read-only.

    Another process, such as a worker, opens the same paths. It compares sizes and times with those that the
    first process saw. Only if they differ, it reads the files in full and compares the digest. Raises
    DataError if a file cannot be mapped, or if shapes or dtypes of the files differ.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._versions: tuple[Version, ...] = tuple(map(_version, self.paths))
        # How many leading entries of versions are compared; None means all. Another process, which may run on
        # another machine, compares N_SHARED, because inodes and times of the last change differ there.
        self._n_compared: int | None = None
        arrays = _mapped(self.paths, self._versions)
        for path, array in zip(self.paths, arrays, strict=True):
            if array.ndim < 1 or array.dtype.kind not in "biuf":
                raise DataError(
                    f"{path} is {array.dtype} of shape {array.shape}; expected numbers of shape (n, ...)"
                )
            if (array.shape[1:], array.dtype) != (arrays[0].shape[1:], arrays[0].dtype):
                first = f"{self.paths[0]} of {arrays[0].dtype} {arrays[0].shape[1:]}"
                raise DataError(
                    f"rows of {path} are {array.dtype} of shape {array.shape[1:]}, those of {first}; make "
                    "them equal"
                )
        self._written = arrays[0].dtype
        self._shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
        self._token: str | None = None

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    @override
    def dtype(self) -> np.dtype[Any]:
        return self._written.newbyteorder("=")

    @property
    @override
    def token(self) -> str:
        """Digest of the content, equal to the token of the same array in memory.

        Raises DataError for numbers that are not finite.
        """
        if self._token is None:
            self._token = digest_parts("inputs", self._written, self.shape, self._parts())
        return self._token

    @property
    @override
    def listing(self) -> str:
        return digest(
            [
                [str(path.absolute()), *version]
                for path, version in zip(self.paths, self._versions, strict=True)
            ]
        )

    @property
    @override
    def contents(self) -> Any:
        return self.token

    @override
    def adopt(self, contents: Any) -> None:
        self._token = str(contents)

    @override
    def take(self, ids: Indices) -> npt.NDArray[Any]:
        ids, start = np.asarray(ids), 0
        found = np.empty((len(ids), *self.shape[1:]), self.dtype)
        for array in self._arrays():
            inside = (ids >= start) & (ids < start + len(array))
            found[inside] = array[ids[inside] - start]
            start += len(array)
        return found

    def _arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the mapped files; raises DataError if they changed since their content was read."""
        versions = tuple(map(_version, self.paths))
        arrays = _mapped(self.paths, versions)
        seen, found = (
            [version[: self._n_compared] for version in each] for each in (self._versions, versions)
        )
        if seen != found and _token_of(self.paths, versions) != self.token:
            names = ", ".join(map(str, self.paths))
            raise DataError(
                f"{names} changed since the run began, or differs on this machine; run the command again "
                "once it is the same for all"
            )
        return arrays

    def _parts(self) -> Iterator[npt.NDArray[Any]]:
        for path, array in zip(self.paths, _mapped(self.paths, self._versions), strict=True):
            rows = max(1, PART // max(1, array.itemsize * int(np.prod(array.shape[1:]))))
            for first in range(0, len(array), rows):
                part = array[first : first + rows]
                bad = first_not_finite(part)
                if bad is not None:
                    raise DataError(
                        f"row {first + bad} of {path} contains NaN, infinity or a number too large for "
                        "float32; clean or scale it first"
                    )
                yield part

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process: paths, versions and the digest, but no numbers."""
        return {**self.__dict__, "_token": self.token, "_n_compared": N_SHARED}


def _version(path: Path) -> Version:
    """Return the version of a file, see version_of; raises DataError if there is no such file."""
    try:
        return version_of(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); it must be readable under this path on every machine"
        ) from error


@functools.lru_cache(maxsize=16)
def _mapped(paths: tuple[Path, ...], versions: tuple[Version, ...]) -> tuple[npt.NDArray[Any], ...]:
    """Return files mapped read-only; a process opens each version of them once."""
    return tuple(map(_map, paths))


def _map(path: Path) -> npt.NDArray[Any]:
    try:
        return map_npy(path)
    except ValueError as error:
        raise DataError(f"{path} is not an array of numbers ({error}); {_HOW}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); {_HOW}") from error


@functools.lru_cache(maxsize=16)
def _token_of(paths: tuple[Path, ...], versions: tuple[Version, ...]) -> str:
    return MappedInputs(paths).token
