"""Every message on a wrong setting begins with its file or --set option and its dotted path."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import TINY

from jobs.session import open_session
from pipeline import config
from pipeline.core.errors import ConfigError, DataError
from pipeline.core.settings import yaml_text


def refusal(*overrides: str, **tree: Any) -> str:
    """Return the message with which settings are refused."""
    with pytest.raises(ConfigError) as refused:
        config.build(TINY | tree, overrides, source="mine.yaml")
    return str(refused.value)


@pytest.mark.parametrize(
    ("place", "settings", "below", "words"),
    [
        (
            "populations.subset.model",
            {"name": "mlp", "widht": 3},
            ".widht",
            "unknown setting; known: depth, ",
        ),
        ("populations.subset.model", "mpl", "", "unknown model 'mpl'"),
        ("populations.scout.recipe", {"schedule": "triangle"}, "", "schedule 'triangle' needs peak_epoch"),
        ("populations.full.source", {"name": "easydub"}, ".folder", "is required"),
        ("populations.full", {"model": "mlp"}, "", "its model and recipe are"),
        ("dataset.scaling", {"divide_by": 0}, ".divide_by", "expected more than 0, got 0"),
        ("dataset.scaling", {"std": [0.0]}, "", "std holds 0.0; expected numbers above 0"),
        ("judges.klom", {"n_binz": 3}, ".n_binz", "unknown setting"),
        ("studies.mine", None, "", "needs a `name`"),
        ("convex.guarantees", {"classes": [3, 3]}, "", "classes are (3, 3); name two different classes"),
        ("tracking.uri", "folder", "", "tracking URI 'folder' is a folder"),
    ],
)
def test_a_refused_setting_has_its_place_and_its_origin(
    place: str, settings: Any, below: str, words: str
) -> None:
    found = refusal(f"{place}={json.dumps(settings)}")
    assert found.startswith(f"--set '{place}=")
    assert f": {place}{below}: {words}" in found


def test_the_file_is_named_where_no_override_sets_the_place() -> None:
    wrong = TINY["populations"] | {"subset": {"model": "mpl"}}
    assert refusal("seed=3", populations=wrong).startswith("mine.yaml: populations.subset.model: ")


def test_file_and_override_are_named_where_both_set_a_group() -> None:
    found = refusal("recipe.peak_epoch=3")
    assert found.startswith("mine.yaml with --set 'recipe.peak_epoch=3': recipe: peak_epoch is for schedule")
    assert found.endswith("remove it or change schedule")


def test_every_wrong_plugin_of_a_group_is_named() -> None:
    found = refusal("judges={a: klm, b: 3}").splitlines()
    assert [line.split(": judges.")[1][:2] for line in found] == ["a:", "b:"]


def test_no_message_shows_a_password() -> None:
    assert "secret" not in refusal("tracking.uri=postgresql://me:secret@host/db")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("recipe.optimizer=sdg", "got 'sdg'. Did you mean 'sgd'?"),
        ("recipe=", "got null (leave it out for the defaults)"),
        ("dataset={name: npz, path: ''}", "dataset.path: expected the path of a file or folder (got '')"),
        ("resources.train={cpu: 3}", "Did you mean 'num_cpus'?"),
        ("judges.ulira.splits=forget", "(write [forget])"),
        ("judges={}", "name at least one"),
        ("unlearners={}", "expected at least 1 entry, got {}"),
    ],
)
def test_the_remedy_fits_what_was_written(override: str, words: str) -> None:
    assert words in refusal(override)


def test_one_wrong_entry_of_a_list_is_one_error() -> None:
    found = refusal("judges.ulira.splits=[forgot]")
    assert found.count("\n") == 0
    assert "judges.ulira.splits.0: expected 'forget'" in found


def test_a_store_that_holds_no_settings_is_refused_beside_the_option() -> None:
    with pytest.raises(ConfigError, match="store: expected settings such as"):
        config.build(TINY, ["store=runs"], store="elsewhere")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("dataset.scaling={std: [1, 2, 3]}", "dataset.scaling: std has 3 numbers"),
        ("dataset.label_noise={n_points: 3000}", "dataset.label_noise: n_points is 3000"),
        ("recipe.flip=true", "recipe.flip: it is for images"),
        ("populations.oracle.source={name: easydub, folder: nowhere}", "populations.oracle.source: "),
    ],
)
def test_what_does_not_fit_the_data_has_its_place_and_its_origin(
    tmp_path: Path, override: str, words: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml_text.dump(TINY))
    with pytest.raises((ConfigError, DataError)) as refused:
        open_session(str(path), [override], str(tmp_path / "store"))
    assert str(refused.value).startswith(f"--set '{override}': {words}")
