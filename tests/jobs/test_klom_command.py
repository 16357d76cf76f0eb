"""`dmm klom` on margins of any origin.

Folders are read by model number, doubtful ones are refused by name, and the answer contains its noise floor.
"""

import json
import re
import sys

import numpy as np
import pytest

from jobs import cli
from jobs.answers.klom_files import klom_report, read_margins
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.evaluation.klom import VARIANTS, klom, klom_summary

RULE = {"variant": "closed", "n_bins": 20, "clip": 100.0, "seed": 0}


def save(path, margins):
    np.save(path, margins)
    return str(path)


def report(tmp_path, unlearned, oracle, **changes):
    return klom_report(
        save(tmp_path / "unlearned.npy", unlearned), save(tmp_path / "oracle.npy", oracle), **RULE | changes
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_file_holds_the_margins_that_were_saved(tmp_path, dtype):
    margins = np.arange(12, dtype=dtype).reshape(3, 4)
    found = read_margins(save(tmp_path / "margins.npy", margins))
    assert found.dtype == dtype
    assert np.array_equal(found, margins)


def test_a_folder_is_the_file_of_the_same_margins(tmp_path):
    margins = np.random.default_rng(0).normal(size=(12, 5))
    for model, one in enumerate(margins):
        np.save(tmp_path / f"id_{model}_epoch_23.npy", one)
    (tmp_path / "readme.txt").write_text("not margins")
    assert np.array_equal(read_margins(str(tmp_path)), margins)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, DataError, "contains no .npy files"),
        ({"last.npy": (3,)}, DataError, "last.npy has no model number"),
        ({"id_1_epoch_2.npy": (3,), "id_01_epoch_3.npy": (3,)}, DataError, "both belong to model 1"),
        ({"id_1.npy": (3,), "id_2.npy": (4,)}, ShapeError, r"id_2.npy has shape \(4,\) and id_1.npy \(3,\)"),
        ({"id_1.npy": (3, 1), "id_2.npy": (3, 1)}, ShapeError, r"expected margins \(n_points,\)"),
    ],
)
def test_a_folder_in_doubt_is_refused(tmp_path, files, error, message):
    for name, shape in files.items():
        np.save(tmp_path / name, np.zeros(shape))
    with pytest.raises(error, match=message):
        read_margins(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"1,2\n3,4\n"])
def test_a_file_that_is_no_npy_is_refused(tmp_path, content):
    (tmp_path / "margins.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"margins.npy is not a plain .npy array"):
        read_margins(str(tmp_path / "margins.npy"))


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "margins.npy"
    save(path, np.zeros((50, 50)))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"margins.npy is not a plain .npy array"):
        read_margins(str(path))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_floor_is_one_half_of_the_oracles_against_the_other(tmp_path, variant):
    unlearned, oracle = np.random.default_rng(0).normal(size=(2, 21, 8))
    floor = report(tmp_path, unlearned, oracle, variant=variant)["floor"]
    expected = klom_summary(klom(unlearned=oracle[:10], oracle=oracle[10:20], variant=variant).values)
    assert {name: floor[name] for name in expected} == expected
    assert floor["n_models"] == 10
    assert floor["mean"] > 0


def test_too_few_oracles_have_no_floor(tmp_path):
    assert report(tmp_path, np.zeros((2, 3)), np.zeros((3, 3)))["floor"] is None


def test_bins_and_clip_reach_the_metric(tmp_path):
    unlearned, oracle = np.random.default_rng(0).normal(size=(2, 30, 8))
    found = report(tmp_path, unlearned, oracle, n_bins=5, clip=1.0)
    result = klom(unlearned=unlearned, oracle=oracle, n_bins=5, clip=1.0)
    assert found["mean"] == result.values.mean()
    assert found["n_clipped"] == result.n_clipped_total > 0
    assert (found["n_unlearned"], found["n_oracles"], found["n_points"]) == (30, 30, 8)


def test_a_wrong_variant_is_refused_before_a_file_is_opened():
    with pytest.raises(ConfigError, match=r"unknown KLoM variant 'closde'.*Did you mean 'closed'\?"):
        klom_report("nowhere.npy", "nowhere.npy", **RULE | {"variant": "closde"})


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_command_prints_one_json_object_without_nan_last(tmp_path, monkeypatch, capsys, variant):
    unlearned, oracle = np.random.default_rng(0).normal(size=(2, 20, 6))
    unlearned[0, 0], oracle[0, 1], unlearned[:, 2] = np.nan, np.inf, -np.inf
    files = ["--unlearned", save(tmp_path / "a.npy", unlearned), "--oracle", save(tmp_path / "b.npy", oracle)]
    monkeypatch.setattr(sys, "argv", ["dmm", "klom", *files, "--variant", variant, "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    answer = json.loads(capsys.readouterr().out.splitlines()[-1], parse_constant=pytest.fail)
    assert (ended.value.code, answer["n_nonfinite"]) == (0, 22)
    expected = klom_summary(klom(unlearned=unlearned, oracle=oracle, variant=variant).values)
    assert {name: answer[name] for name in expected} == expected


def test_one_file_given_twice_is_said_to_be_so(tmp_path):
    margins = np.random.default_rng(0).normal(size=(6, 5))
    margins[2, 3] = np.nan
    (notice,) = report(tmp_path, margins, margins)["notices"]
    assert "both files hold the same margins" in notice


@pytest.mark.parametrize("which", [0, 1])
def test_margins_that_look_like_probabilities_are_said_to_do_so(tmp_path, which):
    pair = list(np.random.default_rng(0).normal(size=(2, 6, 5)))
    assert report(tmp_path, *pair)["notices"] == []
    pair[which] = 1 / (1 + np.exp(-pair[which]))
    (notice,) = report(tmp_path, *pair)["notices"]
    assert f"all {('unlearned', 'oracle')[which]} margins are between 0 and 1, like probabilities" in notice


def test_the_answer_is_a_table_with_its_floor(tmp_path, capsys, monkeypatch):
    margins = np.random.default_rng(0).normal(size=(20, 30))
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "dmm",
            "klom",
            "--unlearned",
            save(tmp_path / "a.npy", margins),
            "--oracle",
            save(tmp_path / "b.npy", margins),
        ],
    )
    with pytest.raises(SystemExit):
        cli.main()
    out = capsys.readouterr().out
    assert re.search(r"unlearned +0\.000 \(0\.000 to \d\.\d{3}\)", out)
    assert re.search(r"noise floor +\d+\.\d{3} +\d+\.\d{3} +10 and 10", out)
    assert "{" not in out
