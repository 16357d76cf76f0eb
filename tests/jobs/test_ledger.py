"""The experiments that a store holds, counted without config, data or plug-ins."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from terminal import Dmm, answer, serial

from jobs.running import experiment_index as ledger
from jobs.session import Session
from pipeline import config
from pipeline.core.errors import StoreError
from pipeline.execution.progress import Progress

PATH_AWAY = (
    '{"name": "a", "digest": "b", "nodes": [{"node": "a", "stage": "train", "unit": "members", "wanted": 1, '
    '"folder": "../away"}]}'
)
LOOK = ("status", "--store", "store", "--json")


def test_a_store_alone_tells_what_of_it_is_done(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "train"))
    by_config = answer(dmm("status", "tiny.yaml", "--store", "store", "--json")[1])
    (tmp_path / "tiny.yaml").unlink()
    status, out, _ = dmm(*LOOK)
    (experiment,) = answer(out)["experiments"]
    assert status == 0
    assert experiment["name"] == "tiny"
    told = {
        node["node"]: (node["status"], node["done"], node["wanted"], node["forget_set"])
        for node in experiment["nodes"]
    }
    assert told == {
        node["node"]: (node["status"], node["done"], node["wanted"], node["forget_set"])
        for node in by_config["nodes"]
    }
    assert "tiny (digest" in out


def test_shards_are_counted_as_they_are_now(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "groups"))
    for folder in (tmp_path / "store" / "train").glob("scout-*"):
        shutil.rmtree(folder)
    nodes = {node["node"]: node for node in answer(dmm(*LOOK)[1])["experiments"][0]["nodes"]}
    assert (nodes["train/scout"]["status"], nodes["train/scout"]["done"]) == ("missing", 0)


def test_shards_without_the_weights_that_a_run_kept_are_not_counted(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "train", "--set", "populations.full.keep_states=true"))
    for path in (tmp_path / "store" / "train").glob("full-*/*/*.safetensors"):
        path.unlink()
    nodes = {node["node"]: node for node in answer(dmm(*LOOK)[1])["experiments"][0]["nodes"]}
    assert (nodes["train/full"]["status"], nodes["train/full"]["done"]) == ("missing", 0)


def test_the_config_kept_is_that_of_the_run_without_addresses(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "groups", "--set", "seed=3"))
    (kept,) = (tmp_path / "store" / "experiments").glob("tiny-*.yaml")
    tree = yaml.safe_load(kept.read_text())
    assert "uri" not in tree["store"] | tree["tracking"]
    assert config.build(tree).digest in kept.name
    assert tree["seed"] == 3


def test_a_store_in_which_nothing_was_run_is_said_to_be_that(dmm: Dmm, tmp_path: Path) -> None:
    status, out, err = dmm(*LOOK)
    assert (status, "nodes" in out) == (2, False)
    assert f"no experiment was run in {tmp_path / 'store'}; check the address" in err


@pytest.mark.parametrize(
    "text", ["{}", "[]", "half", '{"name": "a", "digest": "b", "nodes": [{"node": "train/full"}]}', PATH_AWAY]
)
def test_a_damaged_record_is_named_and_the_others_are_told(dmm: Dmm, tmp_path: Path, text: str) -> None:
    kept = tmp_path / "store" / "experiments"
    kept.mkdir(parents=True)
    (kept / "bad-0.json").write_text(text)
    assert dmm(*LOOK)[0] == 1
    row = {"node": "train/full", "stage": "train", "unit": "members", "wanted": 6, "folder": "train/full-1/2"}
    (kept / "good-1.json").write_text(
        json.dumps({"name": "good", "digest": "1", "nodes": [row, row | {"folder": None}]})
    )
    status, out, err = dmm(*LOOK)
    assert (status, [one["name"] for one in answer(out)["experiments"]], answer(out)["complete"]) == (
        0,
        ["good"],
        False,
    )
    assert "experiments/bad-0.json is damaged; remove it" in err


def test_a_store_alone_names_shards_that_were_given_up(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "groups"))
    folder = next(
        node["folder"]
        for node in answer(dmm(*LOOK)[1])["experiments"][0]["nodes"]
        if node["node"] == "train/full"
    )
    note = tmp_path / "store" / "failures" / folder / "members-000000-000005.json"
    note.parent.mkdir(parents=True)
    note.write_text(
        json.dumps({"error": "ValueError: poison", "trace": "", "tries": 3, "n_lost": 0, "host": "spot-7"})
    )
    out = dmm(*LOOK)[1]
    assert "failed shard: train/full 0-5, given up after 3 tries: ValueError: poison" in out
    assert answer(out)["experiments"][0]["failed_shards"][0]["host"] == "spot-7"


class Refusing:
    """Files of a store that takes nothing, and answers only when it is let."""

    def __init__(self) -> None:
        self.asked, self.answers = 0, threading.Event()

    def write(self, path: str, content: bytes) -> None:
        self.asked += 1
        self.answers.wait()
        raise StoreError("denied")


def test_a_store_that_refuses_is_asked_again_after_a_while_and_never_waited_for(
    open_tiny: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "END", 0.01)
    session, files = open_tiny(), Refusing()
    progress = Progress(states=session.graph.survey(session.store), wanted=frozenset(session.graph.nodes))
    kept = ledger.Ledger(session.graph, SimpleNamespace(files=files))
    for _ in range(50):
        kept.changed(progress)
    kept.end()
    files.answers.set()
    monkeypatch.setattr(ledger, "END", 10.0)
    for _ in range(50):
        kept.end()
    assert files.asked == 1
    monkeypatch.setattr(ledger.time, "monotonic", lambda: float("inf"))
    kept.end()
    assert files.asked == 2
