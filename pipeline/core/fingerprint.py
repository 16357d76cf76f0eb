"""Digests of settings, arrays and plug-ins: equal content gives equal digests on every machine and in every process."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

DIGEST_LENGTH = 16


def canonical(value: Any) -> str:
    """Return value as JSON text with sorted keys and no spaces; raises TypeError or ValueError on anything that JSON cannot hold exactly."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the first 16 hex digits of the SHA-256 of value's canonical JSON (64 bits: enough for names in one store)."""
    return digest_bytes(canonical(value).encode())


def digest_bytes(content: bytes | memoryview) -> str:
    """Return the first 16 hex digits of the SHA-256 of content."""
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def digest_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return one digest over names, dtypes, shapes and bytes of arrays, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(canonical([name, array.dtype.str, list(array.shape)]).encode())
        total.update(array.view(np.uint8).data if array.size else b"")
    return total.hexdigest()[:DIGEST_LENGTH]
