"""Stored results stay valid across releases.

New settings change no identity, and a store that was written long ago is found done.
"""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from pydantic import BaseModel
from tiny import open_at

from jobs.session import Session, open_session
from pipeline.config.experiment import BESIDE_IDENTITY, PLACES, Experiment
from pipeline.core.registry import Plugin, Settings, identity, plugin_name
from pipeline.core.seeds import model_purpose
from pipeline.core.settings.neutral import is_neutral, neutral_values, setting
from pipeline.graph.nodes.train import Population
from pipeline.models.cnn import Cnn
from pipeline.models.mlp import Mlp
from pipeline.tracking.mlflow.run_lookup import CONFIG_TAG
from pipeline.training.recipe.recipe import Recipe

TESTS = Path(__file__).parents[1]
FIXTURE = TESTS / "fixtures" / "identity"
NEUTRAL_VALUES = TESTS / "contracts" / "neutral_values.json"
# The store was written when `judges.klom` was called `evaluation`.
pytestmark = pytest.mark.filterwarnings("ignore::pipeline.core.settings.renamed.RenamedWarning")
# Judgements and reports may be made anew; nothing else may.
REMADE = {"evaluate", "report"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the fixture with its store, which an earlier release wrote."""
    folder = tmp_path_factory.mktemp("identity") / "copy"
    shutil.copytree(FIXTURE, folder)
    with tarfile.open(folder / "store.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def session(written: Path) -> Session:
    with contextlib.chdir(written):
        return open_session("experiment.yaml", store="store")


def kept_tables(session: Session) -> list[str]:
    return [key for key, node in session.graph.nodes.items() if node.stage not in REMADE]


def test_every_table_of_the_store_written_before_is_done(session: Session, written: Path) -> None:
    with contextlib.chdir(written):
        states = session.graph.survey(session.store)
    kept = kept_tables(session)
    assert {"train", "fit", "effect", "unlearn"} <= {states[key].node.stage for key in kept}
    assert {key: states[key].status for key in kept if states[key].status != "done"} == {}


def test_its_parent_run_in_mlflow_is_found_again(session: Session, written: Path) -> None:
    client = MlflowClient(f"sqlite:///{written / 'store' / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`{CONFIG_TAG}` = '{session.graph.digest}'")
    assert len(found) == 1


def test_settings_that_are_added_leave_it_done(session: Session, written: Path) -> None:
    command = [sys.executable, str(TESTS / "contracts" / "patched_settings.py"), "experiment.yaml", "store"]
    answer = subprocess.run(command, cwd=written, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["digest"] == session.graph.digest
    kept = kept_tables(session)
    assert {key: found["statuses"][key] for key in kept if found["statuses"][key] != "done"} == {}


def settings_classes(base: type[BaseModel] = Settings) -> Iterator[type[BaseModel]]:
    """Yield the package's groups of settings and plug-ins, except those that say where an experiment runs."""
    places = {field.annotation for name, field in Experiment.model_fields.items() if name in PLACES}
    for cls in base.__subclasses__():
        below = list(settings_classes(cls))
        if cls.__module__.startswith("pipeline.") and cls not in places and cls.__name__ != "Resources":
            yield cls
        yield from below


CLASSES = sorted(set(settings_classes()), key=lambda cls: (cls.__module__, cls.__name__))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_setting_with_a_default_states_a_neutral_value(cls: type[BaseModel]) -> None:
    declared = neutral_values(cls)
    without = [
        name for name, field in cls.model_fields.items() if not field.is_required() and name not in declared
    ]
    beside = BESIDE_IDENTITY if cls is Experiment else set()
    assert set(without) <= beside, (
        f"declare {without} with setting(neutral=…), see pipeline/core/settings/neutral.py"
    )


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_neutral_values_are_spelled_as_identities_spell_them(cls: type[BaseModel]) -> None:
    """A default that is the neutral value is left out.

    3 for 3.0 is, {} for a group is, null for {} is not.
    """
    required = {name for name, field in cls.model_fields.items() if field.is_required()}
    if required or cls is Plugin or getattr(cls, "__abstractmethods__", None):
        return
    same = {name for name, value in neutral_values(cls).items() if cls.model_fields[name].default == value}
    assert not same & identity(cls()).keys()


def test_neutral_values_never_change() -> None:
    """The record of every neutral value ever declared; a new setting is added to it, by hand."""
    recorded = json.loads(NEUTRAL_VALUES.read_text())
    declared = {
        f"{_name(cls)}.{name}": value for cls in CLASSES for name, value in neutral_values(cls).items()
    }
    changed = {
        name
        for name, value in recorded.items()
        if name not in declared or not is_neutral(declared[name], value)
    }
    assert not changed, "these neutral values changed, and every table stored with them is lost"
    missing = {name: value for name, value in declared.items() if name not in recorded}
    assert not missing, f"add to {NEUTRAL_VALUES.name}: {json.dumps(missing)}"


def _name(cls: type[BaseModel]) -> str:
    """Return a name of a class that stays when its module moves."""
    return f"convex {cls.__name__}" if "convex" in cls.__module__.split(".") else cls.__name__


class Group(Settings):
    size: int = setting(neutral=3)


class Tool(Plugin):
    name = "tool"
    width: float = setting(neutral=1.0, ge=0)
    group: Group | None = setting(neutral={}, default=Group())
    others: tuple[Group, ...] = setting(neutral=(), default=(Group(size=7),))
    note: str = ""


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"others": [{"size": 7}]}),
        ({"others": ()}, {}),
        ({"others": (), "width": 1}, {}),
        ({"others": (), "group": None}, {"group": None}),
        ({"others": (), "group": {"size": 4}}, {"group": {"size": 4}}),
        ({"others": (Group(),)}, {"others": [{}]}),
    ],
)
def test_an_identity_leaves_out_neutral_values_and_nothing_else(
    changed: dict[str, object], expected: dict[str, object]
) -> None:
    assert identity(Tool(**changed)) == {"name": plugin_name(Tool()), "note": ""} | expected


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), ({}, None), ([], None), ([1], [1, 2]), ({"a": 1}, {"a": True}), (0, False)]
)
def test_values_that_differ_in_kind_are_not_neutral(one: object, other: object) -> None:
    assert not is_neutral(one, other)
    assert is_neutral(one, one)


def test_masks_and_seeds_derive_neither_from_model_nor_from_recipe_nor_from_layout(tmp_path: Path) -> None:
    node = open_at(tmp_path).graph.nodes["train/subset"]
    assert isinstance(node, Population)
    other = dataclasses.replace(
        node, model=Cnn(), recipe=Recipe(epochs=1), layout=node.layout.model_copy(update={"dtype": "float16"})
    )
    assert [other._seed(other._purpose(None), member) for member in range(6)] == [
        node._seed(node._purpose(None), member) for member in range(6)
    ]
    assert other._purpose(None) == node._purpose(None)


def test_a_purpose_is_of_seed_role_fraction_and_forget_ids() -> None:
    ids = np.array([4, 1])
    purposes = {
        model_purpose(0, "oracle", forget=ids),
        model_purpose(1, "oracle", forget=ids),
        model_purpose(0, "floor", forget=ids),
        model_purpose(0, "oracle", forget=np.array([1, 5])),
        model_purpose(0, "oracle", keep_fraction=0.5, forget=ids),
    }
    assert len(purposes) == 5
    assert model_purpose(0, "oracle", forget=ids[::-1]) in purposes


def test_a_default_that_moves_away_from_its_neutral_value_shows() -> None:
    class Wider(Mlp):
        width: int = setting(neutral=128, default=256)

    assert identity(Wider())["width"] == 256
    assert "width" not in identity(Wider(width=128))
