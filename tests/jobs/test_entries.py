"""The entries of single stages: in their order they are a whole run, each does its own share only, and says what must come first."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from terminal import answer
from tiny import TINY, run_serially, statuses

from jobs import entry
from jobs.commands import options
from jobs.session import Session
from pipeline.core.errors import MissingShardsError
from pipeline.graph.kinds import entries, stages
from pipeline.graph.nodes.train import Population

Open = Callable[..., Session]
STUDY = {"n_draws": 2, "n_tuning_draws": 1, "n_points": 12, "n_features": 20, "n_forget": 2, "n_steps": 10, "n_long_steps": 100, "n_subset_models": 10}
# A set known only once models are trained, oracles of it, focused models, a method that learns from oracles, and a convex study.
EVERYTHING = {
    "forget_sets": {"hard": {"name": "hardest", "n_points": 4}},
    "populations": TINY["populations"] | {"focused": {"n_models": 4, "keep_fraction": 0.85}},
    "unlearners": TINY["unlearners"] | {"matching": {"name": "oracle_matching", "retain_points": 10, "epochs": 1}},
    "convex": {"data": {}, "guarantees": None, "linear": STUDY | {"examples": {"small": {"penalties": [1.0]}}}},
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "screen", Console(quiet=True))


def stages_not_done(session: Session) -> set[str]:
    nodes = session.graph.nodes
    return {nodes[key].stage for key, status in statuses(session).items() if status != "done"}


def compute(name: str, session: Session, **options: bool):
    return entry.compute(name, session, executor="serial", **{"allow_missing": False, **options})


def test_every_stage_belongs_to_one_entry_in_the_order_of_the_graph() -> None:
    assert tuple(stage for members in entries().values() for stage in members) == stages()


def test_the_entries_one_after_the_other_are_a_whole_run(open_tiny: Open) -> None:
    session = open_tiny(**EVERYTHING)
    left = {node.stage for node in session.graph.nodes.values()}
    for name, members in entries().items():
        result = compute(name, session)
        left -= set(members)
        assert not result.failures
        assert stages_not_done(session) == left
    assert run_serially(session).n_models_made == 0


@pytest.mark.parametrize(("name", "first"), [("fit", "jobs.train"), ("evaluate", "jobs.fit`, then `python -m jobs.unlearn"), ("report", "jobs.train`, then")])
def test_an_entry_says_what_must_come_first_and_computes_nothing(open_tiny: Open, name: str, first: str) -> None:
    session = open_tiny()
    with pytest.raises(MissingShardsError, match=first):
        compute(name, session)
    assert session.store.files.names("") == []


def test_missing_members_are_used_as_they_are_not_made_by_a_later_entry(open_tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    session, whole = open_tiny(), Population.compute
    monkeypatch.setattr(Population, "compute", lambda node, work: 1 / 0 if (node.role, work.start) == ("subset", 5) else whole(node, work))
    assert compute("train", session).failures
    monkeypatch.undo()
    with pytest.raises(MissingShardsError, match=r"train/subset \(partial\)"):
        compute("fit", session)
    for name in ("fit", "unlearn", "evaluate", "report"):
        result = compute(name, session, allow_missing=True)
        assert not result.failures
    assert result.report
    assert statuses(session)["train/subset"] == "partial"


@pytest.mark.parametrize("name", ["run", *entries()])
def test_each_entry_is_a_module_with_a_command(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"jobs.{name}")
    monkeypatch.setattr(sys, "argv", [f"jobs.{name}", "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main(name)
    assert ended.value.code == 0
    assert {"--store", "--set", "--executor", "--allow-missing", "--json"} <= set(capsys.readouterr().out.split())


def test_an_entry_on_the_command_line_ends_with_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    for name, status in (("fit", options.FAILED), ("train", options.DONE)):
        monkeypatch.setattr(sys, "argv", [f"jobs.{name}", "tiny.yaml", "--store", "store", "--executor", "serial", "--json"])
        with pytest.raises(SystemExit) as ended:
            entry.main(name)
        assert ended.value.code == status
    assert answer(capsys.readouterr().out)["complete"]
