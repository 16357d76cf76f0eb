"""Folders in EasyDUB's layout.

They are judged from margins and forget ids alone. Our own models can be written in this layout and read back.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_folders import save_array, write_easydub
from terminal import Dmm, answer
from tiny import TINY

from jobs.answers.klom_easydub import klom_of_layout
from pipeline import config
from pipeline.core.errors import ConfigError, DataError
from pipeline.data.datasets.planted import Planted
from pipeline.data.examples import Examples
from pipeline.evaluation.klom import klom, klom_summary
from pipeline.evaluation.margins import margins
from pipeline.sources.easydub import EasyDub
from pipeline.sources.easydub_layout import EasyDubLayout

IDS = {2: (9, 4, 31), 3: (1,)}
RULE = {"variant": "easydub", "n_bins": 20, "clip": 100.0, "seed": 0}


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Planted(n_train=40, n_validation=12).load()


@pytest.fixture
def place(tmp_path: Path) -> EasyDubLayout:
    return EasyDubLayout(root=tmp_path / "dub", dataset="tiny", model="small", epoch=3)


def test_a_folder_is_judged_split_by_split(place: EasyDubLayout, examples: Examples) -> None:
    made = write_easydub(place.root, examples, IDS, kinds=("margins",), numbers=(0, 1, 2, 3, 10))
    found = klom_of_layout(place, 2, n_models=4, **RULE)
    numbers = (0, 1, 2, 3)
    before, after = (
        margins(np.stack([made.logits[name][number] for number in numbers]), examples.labels)
        for name in ("pretrain", "oracle/forget_2")
    )
    rows = {
        "forget": np.array(IDS[2]),
        "retain": np.setdiff1d(np.arange(40), IDS[2]),
        "validation": np.arange(40, 52),
    }
    for split, ids in rows.items():
        expected = klom_summary(
            klom(unlearned=before[:, ids], oracle=after[:, ids], variant="easydub").values
        )
        assert {name: found["splits"][split][name] for name in expected} == expected
        assert found["splits"][split]["n_points"] == len(ids)
    assert (found["n_unlearned"], found["n_forget"], found["notices"]) == (4, 3, [])


def test_the_forget_rows_of_pretrained_models_may_be_taken_from_all_rows(
    place: EasyDubLayout, examples: Examples
) -> None:
    write_easydub(place.root, examples, IDS, kinds=("margins",))
    before = klom_of_layout(place, 2, n_models=None, **RULE)
    for path in place.files(place.outputs("margins", None, "forget_2")).values():
        path.unlink()
    assert klom_of_layout(place, 2, n_models=None, **RULE) == before


def test_rows_of_another_order_are_noticed(place: EasyDubLayout, examples: Examples) -> None:
    write_easydub(place.root, examples, IDS, kinds=("margins",))
    save_array(place.forget_path(2), np.sort(IDS[2]))
    (notice,) = klom_of_layout(place, 2, n_models=None, **RULE)["notices"]
    assert "does not hold the margins of `retain` at the ids of the forget set in the file's order" in notice


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"forget_set": 7}, DataError, "forget_set_7.npy does not exist; forget sets there: 2, 3"),
        (
            {"n_models": 100},
            ConfigError,
            "there are margins of 4 pretrained models and 4 oracles; expected 2 to 4",
        ),
        ({"n_models": 1}, ConfigError, "--n-models 1"),
        ({"variant": "easydob"}, ConfigError, "Did you mean 'easydub'"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    place: EasyDubLayout, examples: Examples, change: dict[str, object], error: type[Exception], said: str
) -> None:
    write_easydub(place.root, examples, IDS, kinds=("margins",))
    asked = {"forget_set": 2, "n_models": None} | RULE | change
    with pytest.raises(error, match=said):
        klom_of_layout(place, **asked)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            {"dataset": "tny"},
            "it has no dataset tny; it has: dataset tiny, model small, epoch 3; set --root, --dataset",
        ),
        (
            {"model": "large", "epoch": 4},
            "it has no model large, no epoch 4; it has: dataset tiny, model small, epoch 3",
        ),
        (
            {"root": Path("nowhere")},
            "it has nothing of EasyDUB's, such as margins/tiny/pretrain/retain/small/id",
        ),
    ],
)
def test_a_name_that_the_folder_does_not_have_is_named(
    place: EasyDubLayout, examples: Examples, names: dict[str, Any], said: str
) -> None:
    write_easydub(place.root, examples, IDS, kinds=("margins",))
    with pytest.raises(DataError, match=said):
        klom_of_layout(replace(place, **names), 2, n_models=None, **RULE)


@pytest.mark.usefixtures("finished")
def test_an_export_prints_the_command_that_judges_it(dmm: Dmm) -> None:
    out = dmm("export", "tiny.yaml", "--store", "store", "--to", "a folder", "--layout", "easydub")[1]
    program, *asked = shlex.split(out.partition("judge the first with: ")[2])
    assert program == "dmm"
    assert dmm(*asked)[0] == 0


def test_ids_beyond_the_training_points_are_refused(place: EasyDubLayout, examples: Examples) -> None:
    write_easydub(place.root, examples, IDS, kinds=("margins",))
    save_array(place.forget_path(2), np.array([9, 4, 44]))
    with pytest.raises(
        DataError, match="lists id 44, but the pretrained models have margins of 40 training points"
    ):
        klom_of_layout(place, 2, n_models=None, **RULE)


def test_an_incomplete_folder_names_the_model(place: EasyDubLayout, examples: Examples) -> None:
    write_easydub(place.root, examples, IDS, kinds=("margins",))
    (place.root / place.outputs("margins", 2, "val").format(id=1)).unlink()
    with pytest.raises(DataError, match=r"model 1 has margins of retain .* but no margins of val"):
        klom_of_layout(place, 2, n_models=None, **RULE)


def test_the_command_prints_one_object(dmm: Dmm, place: EasyDubLayout, examples: Examples) -> None:
    write_easydub(place.root, examples, IDS, kinds=("margins",), dataset="cifar10", model="resnet9", epoch=23)
    asked = (
        "klom",
        "--layout",
        "easydub",
        "--root",
        str(place.root),
        "--forget-set",
        "2",
        "--n-models",
        "3",
        "--variant",
        "easydub",
    )
    status, out, _ = dmm(*asked, "--json")
    assert (status, set(answer(out)["splits"])) == (0, {"forget", "retain", "validation"})
    assert "95th percentile" in dmm(*asked)[1]


@pytest.mark.parametrize(
    "options",
    [
        ("--unlearned", "a.npy"),
        ("--layout", "easydub", "--root", "."),
        ("--layout", "easydub", "--forget-set", "1"),
        ("--layout", "dub", "--root", "."),
    ],
)
def test_half_a_question_is_refused(dmm: Dmm, options: tuple[str, ...]) -> None:
    assert dmm("klom", *options)[0] == 2


@pytest.mark.usefixtures("finished")
def test_an_exported_folder_reads_back_as_the_same_models(dmm: Dmm, tmp_path: Path) -> None:
    status, out, _ = dmm(
        "export", "tiny.yaml", "--store", "store", "--to", "dub", "--layout", "easydub", "--json"
    )
    written = answer(out)
    assert (status, written["n_models"], written["forget_sets"]) == (0, 6 + 2 * 12, {"some": 1, "wrong": 2})
    source = EasyDub(
        folder=tmp_path / "dub",
        **{name: written[name] for name in ("dataset", "model", "epoch", "forget_sets")},
    )
    source.check(config.build(TINY).dataset.load())
    assert (source.offers(), source.n_models()) == ({"states", "logits", "margins"}, 6)
    assert (source.of_forget_set("wrong").offers(), source.of_forget_set("wrong").n_models()) == (
        {"logits", "margins"},
        12,
    )
    named = [f"--{name}={written[name]}" for name in ("dataset", "model", "epoch")]
    assert (
        answer(dmm("klom", "--layout", "easydub", "--root", "dub", "--forget-set", "2", *named, "--json")[1])[
            "n_oracles"
        ]
        == 6
    )
    assert dmm("export", "tiny.yaml", "--store", "store", "--to", "dub", "--layout", "easydub")[0] == 2


def test_an_export_before_training_names_what_is_missing(dmm: Dmm) -> None:
    status, _, error = dmm("export", "tiny.yaml", "--store", "store", "--to", "dub", "--layout", "easydub")
    assert status == 1
    assert "train/full is missing; run `dmm run --until train` first" in error
