"""Paths in a config: a store opened from two folders is the same store.

The inputs of a run are fixed when it begins.
"""

import contextlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from terminal import Dmm, answer
from tiny import TINY, run_serially, statuses, tables

from jobs.session import Session, open_session
from pipeline.core.errors import DataError


def write_experiment(folder: Path) -> Path:
    """Write a config with its files and return it.

    Data, forget set, attribution and imported models are all named by relative paths.
    """
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 3
    inputs = (rng.normal(size=(80, 4)) + labels[:, None]).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "data.npz",
        train_inputs=inputs[:60],
        train_labels=labels[:60],
        validation_inputs=inputs[60:],
        validation_labels=labels[60:],
    )
    np.save(folder / "weights.npy", rng.normal(size=(60, 80 * 3)).astype(np.float32))
    (folder / "request.csv").write_text("3\n5\n8\n")
    (folder / "models").mkdir(exist_ok=True)
    np.save(folder / "models" / "masks.npy", rng.random((8, 60)) < 0.5)
    np.save(folder / "models" / "logits.npy", rng.normal(size=(8, 80, 3)).astype(np.float32))
    np.save(folder / "models" / "_completed.npy", np.ones(8, bool))
    tree = TINY | {
        "dataset": {"name": "npz", "path": "data.npz"},
        "forget_sets": {"request": {"name": "file", "path": "request.csv"}},
        "estimator": {"name": "file", "path": "weights.npy"},
        "unlearners": {"nothing": "no_op", "dm_direct": "dm_direct"},
        "populations": TINY["populations"]
        | {
            "heldout": {"source": {"name": "madrylab", "folder": "models"}},
            "designed": None,
            "n_seeds": None,
        },
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return folder / "mine.yaml"


def open_in(folder: Path, store: Path) -> Session:
    with contextlib.chdir(folder):
        return open_session("mine.yaml", store=str(store))


def test_one_store_from_two_folders_is_one_store(tmp_path: Path) -> None:
    write_experiment(tmp_path / "first")
    session = open_in(tmp_path / "first", tmp_path / "store")
    assert not run_serially(session).failures
    shutil.copytree(tmp_path / "first", tmp_path / "second" / "deeper")
    moved = open_in(tmp_path / "second" / "deeper", tmp_path / "store")
    assert set(statuses(moved).values()) == {"done"}
    assert moved.graph.digest == session.graph.digest


def folders(session: Session) -> dict[str, str | None]:
    """Return where the table of each node is or will be kept, None for what waits for others."""
    return {key: state.folder for key, state in session.graph.survey(session.store).items()}


# Tables that rest on no other table, and stay where they are when a file changes.
NOT_CHANGED = {
    "request.csv": {"train/full", "train/heldout"},
    "weights.npy": {
        "train/full",
        "train/heldout",
        "forget/request",
        "train/oracle/request",
        "train/floor/request",
        "unlearn/nothing/request",
    },
    "models/logits.npy": {
        "train/full",
        "forget/request",
        "train/oracle/request",
        "train/floor/request",
        "unlearn/nothing/request",
    },
    "data.npz": set(),
}


@pytest.mark.parametrize("name", NOT_CHANGED)
def test_a_file_that_changes_in_place_is_noticed(tmp_path: Path, name: str) -> None:
    folder = write_experiment(tmp_path / "first").parent
    session = open_in(folder, tmp_path / "store")
    before, file = folders(session), folder / name
    if name == "request.csv":
        file.write_text("3\n5\n9\n")
    elif name == "data.npz":
        arrays = dict(np.load(file))
        np.savez(file, **arrays | {"train_inputs": arrays["train_inputs"] + np.float32(1)})
    else:
        np.save(file, np.load(file) + np.float32(1))
    os.utime(file, ns=(1, 1))
    again = open_in(folder, tmp_path / "store")
    assert again.graph.digest != session.graph.digest
    after = folders(again)
    assert {key for key, place in before.items() if place is not None and after[key] == place} == NOT_CHANGED[
        name
    ]


def test_workers_in_another_folder_open_the_files_that_were_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_experiment(tmp_path / "first").parent
    session = open_in(folder, tmp_path / "store")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert not run_serially(session).failures


def test_what_is_forgotten_is_what_was_read_when_the_run_began(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "first").parent
    session = open_in(folder, tmp_path / "store")
    (folder / "request.csv").write_text("1\n2\n")
    states = run_serially(session, wanted=frozenset({"forget/request"})).states
    assert session.store.read(states["forget/request"].table)["index"].tolist() == [3, 5, 8]
    again = open_in(folder, tmp_path / "store")
    assert statuses(again)["forget/request"] == "missing"
    states = run_serially(again, wanted=frozenset({"forget/request"})).states
    assert again.store.read(states["forget/request"].table)["index"].tolist() == [1, 2]


MODEL = """
from pathlib import Path
from torch import nn
from pipeline.models.base import Model

class Started(Model):
    file: Path

    def build(self, input_shape, n_classes):
        module = nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], n_classes))
        nn.init.constant_(module[1].bias, float(self.file.read_text()))
        assert module[1].bias.detach().numpy().all()
        return module
"""


def test_a_model_whose_file_changes_during_a_run_is_no_part_of_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_experiment(tmp_path / "first").parent
    (folder / "started.py").write_text(MODEL)
    (folder / "bias.txt").write_text("0.5")
    monkeypatch.syspath_prepend(str(folder))
    with contextlib.chdir(folder):
        session = open_session(
            "mine.yaml", ["model={name: 'started:Started', file: bias.txt}"], str(tmp_path / "store")
        )
    session.graph.survey(session.store)
    (folder / "bias.txt").write_text("0.7")
    progress = run_serially(session, wanted=frozenset({"train/full"}))
    assert "bias.txt changed since the run began" in progress.failures[0].error
    assert not tables(tmp_path / "store")


def test_the_config_keeps_its_paths_as_they_were_written(tmp_path: Path) -> None:
    session = open_in(write_experiment(tmp_path / "first").parent, tmp_path / "store")
    assert "path: request.csv" in session.experiment.to_yaml()


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_experiment(tmp_path / "first")
    monkeypatch.setenv("HOME", str(config.parent))
    session = open_session(
        str(config),
        [
            "dataset.path=~/data.npz",
            "forget_sets={s: {name: random, n_points: 3}}",
            "estimator=ridge",
            "populations.heldout=null",
        ],
        store=str(tmp_path / "store"),
    )
    assert session.examples.n_train == 60
    with pytest.raises(DataError, match=r"nowhere/data\.npz does not exist"):
        open_session(str(config), ["dataset.path=nowhere/data.npz"], store=str(tmp_path / "store"))


@pytest.mark.parametrize(
    "name",
    [
        "exp #2",
        "2026",
        "on",
        "runs: new",
        "[runs]",
        "~tilde",
        "a'b\"c",
        "{x}",
        "null",
        "&a",
        "*a",
        "!x",
        "017",
    ],
)
def test_a_store_is_the_folder_of_that_name(dmm: Dmm, tmp_path: Path, name: str) -> None:
    status, out, _ = dmm("plan", "tiny.yaml", "--store", name, "--json")
    assert (status, answer(out)["store"]) == (0, str(tmp_path / name))


@pytest.mark.parametrize("name", ["", "  "])
def test_a_store_without_a_name_is_refused(dmm: Dmm, name: str) -> None:
    status, out, _ = dmm("plan", "tiny.yaml", "--store", name, "--json")
    assert (status, "--store is empty" in answer(out)["error"]) == (2, True)


def test_a_plan_names_what_each_set_forgets(dmm: Dmm) -> None:
    sets = (
        "forget_sets={listed: {name: indices, ids: [23, 17, 18]}, hard: {name: hardest, n_points: 3}, many: "
        "{name: random, n_points: 30}}"
    )
    status, out, _ = dmm("plan", "tiny.yaml", "--store", "store", "--set", sets, "--json")
    assert status == 0
    assert "forget/listed: 3 points: 17, 18, 23\n" in out
    assert "forget/hard: its points are known only after" in out
    assert answer(out)["forget_sets"]["listed"] == {"n_points": 3, "first_ids": [17, 18, 23]}
    assert answer(out)["forget_sets"]["many"]["n_points"] == 30
    assert answer(out)["forget_sets"]["hard"] is None
