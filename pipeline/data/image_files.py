"""Image files as inputs: images are decoded on request, so memory holds one batch and never all of them."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import UInt8
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import (
    DIGEST_LENGTH,
    digest,
    digest_arrays,
    digest_bytes,
    digest_files,
    version_of,
)
from pipeline.core.memory import n_cpus
from pipeline.data.inputs import FileInputs

N_CHANNELS = {"L": 1, "RGB": 3}

Image = UInt8[np.ndarray, "channels height width"]


class ImageFiles(FileInputs):
    """Image files below a folder, one per point, all of one size: uint8 (n_points, channels, height, width).

    names are the files' paths below folder. Images are converted to mode: `RGB` has three channels, `L`
    (grey) has one. Files of any format that Pillow reads are decoded. Before a file is decoded, its digest is
    compared with the one computed when the whole data set was read. So a file that changed, or differs on
    another machine, is refused. Raises DataError if there is no file or the first is no image.
    """

    def __init__(self, folder: Path, names: Sequence[str], *, mode: Literal["L", "RGB"] = "RGB") -> None:
        if not names:
            raise DataError(f"{folder} holds no image files; give a folder with one or more")
        self.folder, self.names, self.mode = folder, tuple(names), mode
        self._shape = (len(names), N_CHANNELS[mode], *self._size_of(names[0]))
        self._digests: npt.NDArray[Any] | None = None

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    @override
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    @property
    @override
    def token(self) -> str:
        """Digest of the bytes of the files; their names do not count."""
        return digest(
            ["image files", self.mode, list(self.shape), digest_arrays({"files": self._read_digests()})]
        )

    @property
    @override
    def listing(self) -> str:
        try:
            versions = [version_of(self._path(name)) for name in self.names]
        except OSError as error:
            raise _unreadable(Path(error.filename), error) from error
        return digest([str(self.folder.absolute()), list(self.names), versions])

    @property
    @override
    def contents(self) -> Any:
        return self._read_digests().tobytes().decode()

    @override
    def adopt(self, contents: Any) -> None:
        digests = np.frombuffer(str(contents).encode(), f"S{DIGEST_LENGTH}")
        if len(digests) == len(self.names):
            self._digests = digests

    @override
    def take(self, ids: Indices) -> UInt8[np.ndarray, "n_ids channels height width"]:
        found = np.empty((len(ids), *self.shape[1:]), np.uint8)
        for row, point in enumerate(np.asarray(ids).tolist()):
            found[row] = self._decode(point)
        return found

    def _decode(self, point: int) -> Image:
        path = self._path(self.names[point])
        content = _read(path)
        if self._digests is not None and digest_bytes(content).encode() != self._digests[point]:
            remedy = "run the command again once it is the same for all"
            raise DataError(f"{path} changed since the run began, or differs on this machine; {remedy}")
        image = decode(content, path, self.mode)
        if image.shape != self.shape[1:]:
            sizes = (
                f"{image.shape[1]} x {image.shape[2]} pixels, {self.names[0]} is {self.shape[2]} x "
                f"{self.shape[3]}"
            )
            raise DataError(f"{path} is {sizes}; resize the images to one size first")
        return image

    def _size_of(self, name: str) -> tuple[int, int]:
        """Return height and width of an image from its header."""
        from PIL import Image as Pillow

        path = self._path(name)
        try:
            with Pillow.open(path) as image:
                return image.height, image.width
        # A damaged file makes Pillow raise many kinds of errors, such as SyntaxError and struct.error.
        except Exception as error:
            raise _unreadable(path, error) from error

    def _path(self, name: str) -> Path:
        return self.folder / name

    def _read_digests(self) -> npt.NDArray[Any]:
        """Return the digest of each file, computed once and in parallel."""
        if self._digests is None:
            with ThreadPoolExecutor(n_cpus()) as pool:
                found = list(pool.map(_digest, map(self._path, self.names)))
            self._digests = np.array(found, f"S{DIGEST_LENGTH}")
        return self._digests

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process: names and digests, no images."""
        return {**self.__dict__, "_digests": self._read_digests()}


def decode(content: bytes, path: Path, mode: str) -> Image:
    """Return the image (channels, height, width) in a file's bytes; raises DataError if there is none."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert(mode))
    except MemoryError:
        raise
    # A damaged file makes Pillow raise many kinds of errors, such as SyntaxError and struct.error.
    except Exception as error:
        raise _unreadable(path, error) from error
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)


def _digest(path: Path) -> str:
    try:
        return digest_files(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.strerror:
        return DataError(
            f"{path} cannot be read ({error.strerror}); it must be readable under this path on every machine"
        )
    return DataError(
        f"{path} is not an image that can be decoded ({type(error).__name__}: {error}); replace it or "
        "leave it out"
    )
