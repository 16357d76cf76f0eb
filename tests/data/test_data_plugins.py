"""The contract of every data set and every forget set.

A new plug-in needs only an entry in SETTINGS.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.core.errors import ConfigError
from pipeline.core.registry import Plugin, PluginTable, describe
from pipeline.data import DATASETS, FORGET_SETS
from pipeline.data.dataset import Dataset, LabelNoise
from pipeline.data.datasets.planted import Planted
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet

SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {"label_noise": {"n_points": 3}},
    "flights": {"n_train": 200, "n_validation": 50},
    "planted": {"seed": 1},
    "npz": {"path": "data.npz"},
    "random": {"n_points": 4},
    "coherent": {"label": 1, "n_points": 4},
    "mislabelled": {},
    "hardest": {"n_points": 4},
    "indices": {"ids": [7, 2]},
    "file": {"path": "ids.txt"},
}
TABLES: list[PluginTable[Any]] = [DATASETS, FORGET_SETS]


@pytest.fixture(autouse=True)
def _files(npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (npz.parent / "ids.txt").write_text("4\n1\n")
    monkeypatch.chdir(npz.parent)


@pytest.fixture(
    params=[(table, name) for table in TABLES for name in table.names()], ids=lambda param: param[1]
)
def case(request: pytest.FixtureRequest) -> tuple[PluginTable[Any], Plugin]:
    table, name = request.param
    return table, table.build({"name": name, **SETTINGS[name]})


@pytest.fixture(params=DATASETS.names())
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return DATASETS.build({"name": request.param, **SETTINGS[request.param]})


@pytest.fixture(params=FORGET_SETS.names())
def forget_set(request: pytest.FixtureRequest) -> ForgetSet:
    return FORGET_SETS.build({"name": request.param, **SETTINGS[request.param]})


def test_plugins_are_documented_frozen_values(case: tuple[PluginTable[Any], Plugin]) -> None:
    _, plugin = case
    field = next(iter(type(plugin).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(plugin, field, getattr(plugin, field))
    assert type(plugin).__doc__


def test_unknown_settings_are_refused(case: tuple[PluginTable[Any], Plugin]) -> None:
    table, plugin = case
    with pytest.raises(ConfigError, match="typo: unknown setting; known: "):
        table.build({**describe(plugin), "typo": 1})


def test_a_description_rebuilds_the_plugin(case: tuple[PluginTable[Any], Plugin]) -> None:
    table, plugin = case
    assert table.build(json.loads(json.dumps(describe(plugin)))) == plugin


def test_plugins_pickle(case: tuple[PluginTable[Any], Plugin]) -> None:
    _, plugin = case
    assert pickle.loads(pickle.dumps(plugin)) == plugin


def test_loading_twice_gives_the_same_examples(dataset: Dataset) -> None:
    first = dataset.load()
    assert first.digest == dataset.load().digest
    assert [str(array.dtype) for array in (first.inputs, first.labels, first.mislabelled)] == [
        "float32",
        "int64",
        "int64",
    ]
    assert np.asarray(first.inputs).flags.c_contiguous


def test_a_seed_changes_the_examples(dataset: Dataset) -> None:
    if "seed" in type(dataset).model_fields:
        assert dataset.load().digest != dataset.model_copy(update={"seed": 99}).load().digest


def noisy_examples() -> tuple[Examples, np.ndarray]:
    examples = Planted(label_noise=LabelNoise(n_points=5)).load()
    return examples, np.random.default_rng(0).normal(size=(3, examples.n_points))


def test_selected_ids_are_sorted_unique_training_ids(forget_set: ForgetSet) -> None:
    examples, margins = noisy_examples()
    forget_set.check(examples)
    ids = forget_set.select(examples, margins if forget_set.needs else None)
    assert ids.dtype == np.int64
    assert np.array_equal(ids, np.unique(ids))
    assert 0 <= ids[0] <= ids[-1] < examples.n_train
    assert len(ids) == {"mislabelled": 5, "indices": 2, "file": 2}.get(forget_set.name, 4)


def test_selecting_twice_gives_the_same_ids_and_touches_nothing(forget_set: ForgetSet) -> None:
    examples, margins = noisy_examples()
    digest, before = examples.digest, margins.copy()
    given = margins if forget_set.needs else None
    assert np.array_equal(forget_set.select(examples, given), forget_set.select(examples, given))
    assert examples.digest == digest
    assert np.array_equal(margins, before)


def test_only_what_lies_outside_the_settings_is_content(forget_set: ForgetSet) -> None:
    assert bool(forget_set.content()) == ("path" in type(forget_set).model_fields)
