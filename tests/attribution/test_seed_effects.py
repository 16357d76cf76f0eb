"""The effect of a seed is removed from outputs, at a cost that does not grow with the number of seeds."""

import tracemalloc

import numpy as np
import pytest

from pipeline.attribution import evidence
from pipeline.attribution.evidence import without_seed_effects


def problem(
    n_models: int, n_seeds: int, n_outputs: int = 5, effect: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    seeds, populations = np.arange(n_models) % n_seeds * 7 + 3, np.arange(n_models) // (n_models // 2)
    outputs = (
        effect * rng.normal(size=(n_seeds, n_outputs))[np.arange(n_models) % n_seeds]
        + populations[:, None]
        + rng.normal(size=(n_models, n_outputs))
    )
    return outputs.astype(np.float32), seeds, populations


def by_hand(outputs: np.ndarray, seeds: np.ndarray, populations: np.ndarray) -> np.ndarray:
    """Return the same, model by model, output by output."""
    cleaned = np.empty_like(outputs)
    for column, values in enumerate(outputs.T.astype(float)):
        deviations = np.array(
            [
                value - values[populations == population].mean()
                for value, population in zip(values, populations, strict=True)
            ]
        )
        effects = np.array([deviations[seeds == seed].mean() for seed in seeds])
        n_seeds, n_populations = len(set(seeds)), len(set(populations))
        between = (effects**2).sum() / (n_seeds - 1)
        within = ((deviations - effects) ** 2).sum() / (len(values) - n_seeds - n_populations + 1)
        cleaned[:, column] = values - max(1 - within / between, 0) * effects
    return cleaned


@pytest.mark.parametrize("effect", [2.0, 0.1])
def test_it_is_the_formula(effect: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_COLUMNS", 2)
    given = problem(60, 7, effect=effect)
    np.testing.assert_allclose(without_seed_effects(*given), by_hand(*given), rtol=1e-6, atol=1e-6)


def test_the_dtype_stays() -> None:
    outputs, seeds, populations = problem(60, 7)
    assert without_seed_effects(outputs, seeds, populations).dtype == np.float32


@pytest.mark.parametrize("n_seeds", [400, 1])
def test_nothing_is_taken_out_where_seeds_cannot_be_told_from_models(n_seeds: int) -> None:
    outputs, seeds, populations = problem(400, n_seeds)
    assert without_seed_effects(outputs, seeds, populations) is outputs


@pytest.mark.parametrize("n_seeds", [4000, 2000, 50])
def test_memory_is_that_of_a_few_columns_whatever_the_number_of_seeds(n_seeds: int) -> None:
    given = problem(4000, n_seeds, n_outputs=300)
    tracemalloc.start()
    without_seed_effects(*given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * given[0].nbytes
