"""Digests of settings, arrays and files.

Equal content gives equal digests on every machine and in every process.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DIGEST_LENGTH = 16

# Size in bytes, modification time, inode, and status-change time of a file (times in ns); see version_of.
Version = tuple[int, int, int, int]


def canonical(value: Any) -> str:
    """Return value as JSON text with sorted keys and no spaces.

    Raises TypeError or ValueError on anything that JSON cannot hold exactly.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the first 16 hex digits of the SHA-256 of value's canonical JSON.

    With 64 bits, two different values in one store practically never have the same digest.
    """
    return digest_bytes(canonical(value).encode())


def digest_bytes(content: bytes | memoryview) -> str:
    """Return the first 16 hex digits of the SHA-256 of content."""
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def digest_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return one digest over names, dtypes, shapes and bytes of arrays, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        _add_array(total, name, arrays[name].dtype, arrays[name].shape, [arrays[name]])
    return total.hexdigest()[:DIGEST_LENGTH]


def digest_parts(name: str, dtype: np.dtype[Any], shape: Sequence[int], parts: Iterable[np.ndarray]) -> str:
    """Return the digest that digest_arrays gives for one array, given as consecutive parts of its first axis.

    name, dtype and shape describe the whole array, so it need not fit into memory.
    """
    total = hashlib.sha256()
    _add_array(total, name, dtype, shape, parts)
    return total.hexdigest()[:DIGEST_LENGTH]


def _add_array(
    total: "hashlib._Hash", name: str, dtype: np.dtype[Any], shape: Sequence[int], parts: Iterable[np.ndarray]
) -> None:
    total.update(canonical([name, dtype.str, list(shape)]).encode())
    for part in parts:
        total.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")


def digest_files(path: Path) -> str:
    """Return the digest of the bytes of a file, or of the names and bytes of everything below a folder.

    Names are relative to the folder. An unchanged file is read once per process. Raises OSError.
    """
    if not path.is_dir():
        return _digest_file(path, version_of(path))
    below = [(file.relative_to(path).as_posix(), file) for file in sorted(path.rglob("*"))]
    return digest(
        [[name, _digest_file(file, version_of(file)) if file.is_file() else ""] for name, file in below]
    )


def version_of(path: Path) -> Version:
    """Return size, modification time, inode and status-change time of a file; they change with its content.

    The inode and the status-change time reveal a file that was replaced by one of equal size and modification
    time. Both differ between machines, so only a cache may depend on them. Raises OSError if there is no
    file.
    """
    about = path.stat()
    return about.st_size, about.st_mtime_ns, about.st_ino, about.st_ctime_ns


@functools.lru_cache(maxsize=2**17)
def _digest_file(path: Path, version: Version) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LENGTH]
