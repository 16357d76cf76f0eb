"""Seeds derived from what they are for, never drawn in order, so that any member can be made alone, anywhere, again."""

import hashlib

import numpy as np

from pipeline.core.fingerprint import canonical


def seed(*purpose: str | int) -> int:
    """Return a seed in [0, 2**63) for a purpose such as ("train", recipe digest, member); equal purposes give equal seeds."""
    return int.from_bytes(hashlib.sha256(canonical(purpose).encode()).digest()[:8], "big") >> 1


def generator(*purpose: str | int) -> np.random.Generator:
    """Return a NumPy generator of its own for a purpose."""
    return np.random.default_rng(seed(*purpose))
