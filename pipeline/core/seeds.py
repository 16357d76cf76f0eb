"""Seeds that are derived from their purpose, such as the role and the number of a model.

Seeds are never drawn in order, so any model can be trained again alone, on any machine.
"""

import hashlib

import numpy as np

from pipeline.core.arrays import Indices
from pipeline.core.fingerprint import canonical, digest


def seed(*purpose: str | int) -> int:
    """Return a seed in [0, 2**63) for a purpose such as ("planted", 3); equal purposes give equal seeds."""
    return int.from_bytes(hashlib.sha256(canonical(purpose).encode()).digest()[:8], "big") >> 1


def generator(*purpose: str | int) -> np.random.Generator:
    """Return a new NumPy generator for a purpose."""
    return np.random.default_rng(seed(*purpose))


def model_purpose(
    experiment_seed: int, name: str, *, keep_fraction: float | None = None, forget: Indices | None = None
) -> str:
    """Return the purpose from which the masks and seeds of models derive, as text to pass to `seed`.

    name is the role of a population, `shared` for seeds that populations have in common, or the name of an
    unlearner. keep_fraction is the share of the training points that models keep, forget the ids of the
    forget set. The purpose does not depend on the model, recipe, data set or layout. So a cheap proxy model
    gets the same masks and seeds as the model it stands for, and a new option of a recipe changes no seed.
    """
    points = None if forget is None else sorted(forget.tolist())
    return digest(["models", experiment_seed, name, keep_fraction, points])
