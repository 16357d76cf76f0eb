"""Small data sets for the tests of this folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.datasets.npz import KEYS
from pipeline.data.examples import Examples


@pytest.fixture
def examples() -> Examples:
    """Return twelve training and four validation points of three classes in turn."""
    rng = np.random.default_rng(0)
    return Examples(
        inputs=rng.normal(size=(16, 2, 3)).astype(np.float32),
        labels=np.arange(16) % 3,
        n_train=12,
        n_classes=3,
    )


@pytest.fixture
def arrays() -> dict[str, Any]:
    """Return what an .npz file of three training and two validation points holds."""
    inputs = np.arange(20.0).reshape(5, 4)
    return dict(zip(KEYS, (inputs[:3], np.array([0, 1, 2]), inputs[3:], np.array([2, 0])), strict=True))


@pytest.fixture
def npz(tmp_path: Path, arrays: dict[str, Any]) -> Path:
    """Write that file and return its path."""
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path
