"""Numbers that the stored dtype cannot hold are refused at the first shard, before others are trained."""

import re

import numpy as np
import pytest
from tiny import TINY, open_at, run_serially

from pipeline.core.errors import ConfigError
from pipeline.graph.logits_layout import Layout

FLOAT16 = Layout(dtype="float16", block_points=2)


@pytest.mark.parametrize("value", [65_520.0, 1e5, -7e4, 3e38])
def test_a_number_beyond_the_stored_dtype_is_named_with_the_remedy(value) -> None:
    logits, margins = np.zeros((2, 3, 2), np.float32), np.zeros((2, 3), np.float32)
    logits[1, 2, 0] = margins[1, 2] = value
    for columns in (lambda: FLOAT16.columns(logits), lambda: FLOAT16.margin_columns(margins)):
        with pytest.raises(
            ConfigError,
            match=(
                f"is {re.escape(format(abs(value), ',.6g'))}, but the largest value of float16 is 65,504; "
                "set store.layout.dtype=float32"
            ),
        ):
            columns()
    assert Layout(dtype="float32").columns(logits)["logits_00000"][1, 2, 0] == np.float32(value)


@pytest.mark.parametrize("value", [65_504.0, -65_504.0, 65_519.0, np.inf, -np.inf, np.nan])
def test_what_float16_holds_and_what_diverged_before_is_stored(value) -> None:
    found = FLOAT16.columns(np.full((1, 3, 2), value, np.float32))["logits_00001"]
    assert found.dtype == np.float16
    assert found == pytest.approx(np.full((1, 1, 2), value), nan_ok=True, abs=16)


def test_one_shard_of_a_population_is_trained_when_its_logits_overflow(tmp_path) -> None:
    recipe = {"epochs": 2, "batch_size": 10, "learning_rate": 1e5, "ensemble": "stacked"}
    session = open_at(
        tmp_path, "store.layout.dtype=float16", **TINY | {"recipe": recipe, "model": {"name": "logistic"}}
    )
    progress = run_serially(session, until="train")
    subset = [failure for failure in progress.failures if failure.key == "train/subset"]
    assert "set store.layout.dtype=float32" in subset[0].error
    assert subset[0].stop - subset[0].start == 5
    assert all("not tried, since other shards of it failed" in failure.error for failure in subset[1:])
    assert sum(failure.stop - failure.start for failure in subset) == 20
