"""A forecast adds effects to the full models' logits.

Margins, standard errors and misclassified points follow, and NaN never looks good.
"""

import numpy as np
import pytest

from pipeline.evaluation.margins import margins
from pipeline.graph.logits_layout import Layout
from pipeline.graph.reading.forecast import Forecast, forecast, margin_standard_error, summarise
from pipeline.store.store import Shard, Store, TableRef

N_MODELS, N_POINTS, N_CLASSES = 7, 5, 3
LAYOUT = Layout(block_points=2)
LABELS = np.array([0, 1, 2, 0, 1])
SPLITS = {"forget": np.array([0, 1]), "retain": np.array([2, 3]), "validation": np.array([4])}


def write(store: Store, folder: str, unit: str, n_units: int, columns: dict[str, np.ndarray]) -> TableRef:
    store.write_shard(folder, unit, 0, n_units, Shard(columns=columns), side={})
    return store.table(folder, n_units)


@pytest.fixture
def made(tmp_path):
    """Logits of full models, an effect with its standard error, and what comes of them."""
    rng, store = np.random.default_rng(0), Store(str(tmp_path))
    logits = rng.normal(size=(N_MODELS, N_POINTS, N_CLASSES)).astype(np.float32)
    effect = {
        "mean": rng.normal(size=(N_POINTS, N_CLASSES)),
        "standard_error": rng.uniform(0.1, 1.0, (N_POINTS, N_CLASSES)),
    }

    def compute(logits: np.ndarray = logits, oracle: np.ndarray | None = None) -> Forecast:
        tables = {
            "full": write(store, "train/full/v", "members", N_MODELS, LAYOUT.columns(logits)),
            "effect": write(store, "effect/e/v", "sets", 1, effect),
        }
        if oracle is not None:
            tables["oracle"] = write(store, "train/oracle/v", "members", len(oracle), LAYOUT.columns(oracle))
        return forecast(store, **tables, layout=LAYOUT, labels=LABELS)

    return compute, logits, effect


def test_margins_are_those_of_the_full_models_without_and_with_the_effect(made):
    compute, logits, effect = made
    found = compute(oracle=logits[:3] + 1.0)
    assert found.before == pytest.approx(margins(logits.astype(float), LABELS).mean(axis=0))
    assert found.after == pytest.approx(margins(logits + effect["mean"], LABELS).mean(axis=0))
    assert found.actual == pytest.approx(margins(logits[:3], LABELS).mean(axis=0), abs=1e-5)
    assert np.array_equal(
        found.correct_after, (logits.mean(axis=0) + effect["mean"]).argmax(axis=1) == LABELS
    )
    assert compute().actual is None


def test_the_standard_error_of_a_margin_is_that_of_simulated_logits(made):
    _, logits, effect = made
    mean = logits.mean(axis=0).astype(float)
    drawn = mean + 0.01 * effect["standard_error"] * np.random.default_rng(1).normal(
        size=(20000, N_POINTS, N_CLASSES)
    )
    expected = margins(drawn, LABELS).std(axis=0) / 0.01
    assert margin_standard_error(mean, effect["standard_error"], LABELS) == pytest.approx(expected, rel=0.03)


def test_a_summary_counts_what_turns_wrong_and_what_is_clear():
    found = Forecast(
        before=np.array([1.0, 2.0, 3.0, 1.0, -1.0]),
        after=np.array([-1.0, 1.9, 3.0, 1.5, 1.0]),
        standard_error=np.array([0.5, 0.5, 0.1, 0.1, 0.1]),
        correct_before=np.array([True, True, True, True, False]),
        correct_after=np.array([False, True, True, True, True]),
    )
    forget = summarise(found, SPLITS["forget"])
    assert (forget.misclassified_before, forget.misclassified_after, forget.newly_misclassified) == (0, 1, 1)
    assert (forget.largest_change, forget.share_clear) == (-2.0, 0.5)
    assert summarise(found, SPLITS["validation"]).median_change == 2.0
    assert found.most_changed(np.arange(5), 3).tolist() == [0, 4, 3]


def test_diverged_models_are_left_out_and_points_without_any_are_not_counted(made):
    compute, logits, _ = made
    broken = logits.copy()
    broken[0], broken[:, 1] = np.nan, np.nan
    found = compute(broken)
    assert found.before[0] == pytest.approx(margins(logits[1:].astype(float), LABELS).mean(axis=0)[0])
    assert np.isnan(found.before[1])
    assert [summarise(found, SPLITS[split]).n_points for split in ("forget", "retain")] == [1, 2]
    assert summarise(found, np.array([1])).median_change is None
    assert found.most_changed(np.arange(5), 5)[-1] == 1
