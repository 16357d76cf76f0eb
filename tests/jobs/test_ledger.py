"""What a store says of its experiments by itself: counted without config, data or plug-ins."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from terminal import Dmm, answer, serial

from jobs.commands import ledger
from jobs.session import Session
from pipeline import config
from pipeline.core.errors import StoreError
from pipeline.run import Progress

LOOK = ("status", "--store", "store", "--json")


def test_a_store_alone_tells_what_of_it_is_done(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "train"))
    by_config = answer(dmm("status", "tiny.yaml", "--store", "store", "--json")[1])
    (tmp_path / "tiny.yaml").unlink()
    status, out, _ = dmm(*LOOK)
    (experiment,) = answer(out)["experiments"]
    assert status == 0
    assert experiment["name"] == "tiny"
    told = {node["node"]: (node["status"], node["done"], node["wanted"], node["forget_set"]) for node in experiment["nodes"]}
    assert told == {node["node"]: (node["status"], node["done"], node["wanted"], node["forget_set"]) for node in by_config["nodes"]}
    assert "tiny (digest" in out


def test_shards_are_counted_as_they_are_now(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "groups"))
    for folder in (tmp_path / "store" / "train").glob("scout-*"):
        shutil.rmtree(folder)
    nodes = {node["node"]: node for node in answer(dmm(*LOOK)[1])["experiments"][0]["nodes"]}
    assert (nodes["train/scout"]["status"], nodes["train/scout"]["done"]) == ("missing", 0)


def test_the_config_kept_is_that_of_the_run_without_addresses(dmm: Dmm, tmp_path: Path) -> None:
    dmm(*serial("run", "--until", "groups", "--set", "seed=3"))
    (kept,) = (tmp_path / "store" / "experiments").glob("tiny-*.yaml")
    tree = yaml.safe_load(kept.read_text())
    assert "uri" not in tree["store"] | tree["tracking"]
    assert config.build(tree).digest in kept.name
    assert tree["seed"] == 3


def test_a_store_with_nothing_on_record_is_looked_at_through_the_demonstration(dmm: Dmm) -> None:
    assert answer(dmm(*LOOK)[1])["nodes"]


class Refusing:
    """Files of a store that takes nothing, and answers only when it is let."""

    def __init__(self) -> None:
        self.asked, self.answers = 0, threading.Event()

    def write(self, path: str, content: bytes) -> None:
        self.asked += 1
        self.answers.wait()
        raise StoreError("denied")


def test_a_store_that_refuses_is_asked_again_after_a_while_and_never_waited_for(open_tiny: Callable[..., Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "END", 0.01)
    session, files = open_tiny(), Refusing()
    progress = Progress(states=session.graph.survey(session.store), wanted=frozenset(session.graph.nodes))
    kept = ledger.Ledger(session.experiment, SimpleNamespace(files=files))
    for _ in range(50):
        kept.changed(progress)
    kept.end(progress)
    files.answers.set()
    monkeypatch.setattr(ledger, "END", 10.0)
    for _ in range(50):
        kept.end(progress)
    assert files.asked == 1
    monkeypatch.setattr(ledger.time, "monotonic", lambda: float("inf"))
    kept.end(progress)
    assert files.asked == 2
