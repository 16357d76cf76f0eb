"""Every product of a dual datamodel is k (K + λI)⁻¹ Y, each output at its own penalty.

The order of the matrix products does not matter.
"""

import numpy as np
import pytest
from blocks import block_of

from pipeline.attribution.evidence import Evidence
from pipeline.attribution.linear.dual import DualDatamodel
from pipeline.attribution.linear.penalties import GRID
from pipeline.attribution.ridge import Ridge, inner
from pipeline.data.masks import subset_mask

N_MODELS, N_TRAIN = 40, 24


def masks_of(n_models: int, first: int = 0) -> np.ndarray:
    return np.stack([subset_mask(N_TRAIN, 0.5, first + model) for model in range(n_models)])


def problem(n_outputs: int) -> tuple[DualDatamodel, np.ndarray]:
    """Return a datamodel with many penalties and its outputs."""
    rng = np.random.default_rng(0)
    evidence, outputs = (
        Evidence(masks=masks_of(N_MODELS)),
        rng.normal(size=(N_MODELS, n_outputs)).astype(np.float32) + 100,
    )
    ridge = Ridge()
    factor = ridge.factor(evidence)
    penalties = rng.permutation(np.resize(GRID[8:14] * factor["eigenvalues"].mean(), n_outputs))
    fit = {"penalty": penalties, "effect_penalty": penalties[::-1], "amplitude": np.ones(n_outputs)}
    return ridge.datamodel(factor, fit, evidence, block_of(outputs)), outputs


def solved(rows: np.ndarray, outputs: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Return k (K + λI)⁻¹ Y, output by output."""
    kernel, centred = (
        inner(masks_of(N_MODELS), masks_of(N_MODELS)),
        outputs - outputs.mean(axis=0, dtype=float),
    )
    return np.stack(
        [
            rows @ np.linalg.solve(kernel + penalty * np.eye(N_MODELS), y)
            for penalty, y in zip(penalties, centred.T, strict=True)
        ],
        axis=-1,
    )


@pytest.mark.parametrize("n_outputs", [7, 300])
def test_predictions(n_outputs: int) -> None:
    datamodel, outputs = problem(n_outputs)
    asked = masks_of(9, first=1000)
    expected = solved(inner(asked, masks_of(N_MODELS)), outputs, datamodel.penalty) + outputs.mean(
        axis=0, dtype=float
    )
    np.testing.assert_allclose(datamodel.predict(asked), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n_outputs", [3, 300])
def test_effects(n_outputs: int) -> None:
    datamodel, outputs = problem(n_outputs)
    changed, _ = datamodel.kernel.removing([np.array([2, 5])])
    expected = solved(changed[0], outputs, datamodel.effect_penalty)
    np.testing.assert_allclose(
        datamodel.effect_of_removing(np.array([2, 5])).mean, expected, rtol=0, atol=1e-9
    )
