"""Single stages (`--only STAGE`).

In order they make a whole run. Each computes only its own tables and names the stages that must come first.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from terminal import Dmm, answer, serial
from tiny import TINY, run_serially, statuses

from jobs import options
from jobs.running.experiment_run import RunResult, run_experiment
from jobs.running.run_scope import scope_of
from jobs.session import Session
from pipeline.core.errors import MissingShardsError
from pipeline.execution.selected_nodes import wanted_until
from pipeline.graph.node_kinds import entries, stages
from pipeline.graph.nodes.train import Population

Open = Callable[..., Session]
STUDY = {
    "n_draws": 2,
    "n_tuning_draws": 1,
    "n_points": 12,
    "n_features": 20,
    "n_forget": 2,
    "n_steps": 10,
    "n_long_steps": 100,
    "n_subset_models": 10,
}
# A set known only once models are trained, oracles of it, focused models, a method that learns from oracles,
# and a convex study.
EVERYTHING = {
    "forget_sets": {"hard": {"name": "hardest", "n_points": 4}},
    "populations": TINY["populations"] | {"focused": {"n_models": 4, "keep_fraction": 0.85}},
    "unlearners": TINY["unlearners"]
    | {"matching": {"name": "oracle_matching", "retain_points": 10, "epochs": 1}},
    "convex": {
        "data": {},
        "guarantees": None,
        "linear": STUDY | {"examples": {"small": {"penalties": [1.0]}}},
    },
}


def stages_not_done(session: Session) -> set[str]:
    nodes = session.graph.nodes
    return {nodes[key].stage for key, status in statuses(session).items() if status != "done"}


def compute(name: str, session: Session, *, allow_missing: bool = False) -> RunResult:
    scope = scope_of(name, session, allow_missing=allow_missing)
    options = {"wanted": scope.wanted, "settled": scope.settled, "allow_missing": allow_missing}
    return run_experiment(session, Console(quiet=True), executor="serial", **options)


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


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("fit", "--only train"),
        ("evaluate", "--only fit`, then `dmm run --only unlearn"),
        ("report", "--only train`, then"),
    ],
)
def test_an_entry_says_what_must_come_first_and_computes_nothing(
    open_tiny: Open, name: str, first: str
) -> None:
    session = open_tiny()
    with pytest.raises(MissingShardsError, match=first):
        compute(name, session)
    assert session.store.files.names("") == []


def test_missing_members_are_used_as_they_are_not_made_by_a_later_entry(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, whole = open_tiny(), Population.compute
    monkeypatch.setattr(
        Population,
        "compute",
        lambda node, work: 1 / 0 if (node.role, work.start) == ("subset", 5) else whole(node, work),
    )
    assert compute("train", session).failures
    monkeypatch.undo()
    with pytest.raises(MissingShardsError, match=r"train/subset \(partial\)"):
        compute("fit", session)
    for name in ("fit", "unlearn", "evaluate", "report"):
        result = compute(name, session, allow_missing=True)
        assert not result.failures
    assert result.report
    assert statuses(session)["train/subset"] == "partial"


def only(dmm: Dmm, name: str, *more: str) -> tuple[int, str, str]:
    return dmm(*serial("run", "--only", name, *more))


def test_a_stage_alone_ends_with_a_status(dmm: Dmm) -> None:
    assert only(dmm, "fit")[0] == options.FAILED
    status, out, err = only(dmm, "train")
    assert status == options.DONE, err
    assert answer(out)["complete"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--only", "trian"],
            "--only 'trian': expected train, fit, unlearn, evaluate, studies, report. Did you mean 'train'?",
        ),
        (["--only", "fit", "--until", "fit"], "--only cannot be combined with --until"),
        (["--only", "fit", "--until-enough"], "--only cannot be combined with --until"),
    ],
)
def test_what_cannot_be_asked_of_one_stage_is_refused(dmm: Dmm, words: list[str], message: str) -> None:
    status, _, err = dmm(*serial("run", *words))
    assert status == options.BAD_CONFIG
    assert message in err


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("fit", {"train", "fit", "score", "effect"}),
        ("score", {"train", "fit", "score"}),
        ("train/full", {"train"}),
    ],
)
def test_a_run_stops_after_a_stage_a_kind_of_table_or_a_table(
    open_tiny: Open, name: str, reached: set[str]
) -> None:
    session = open_tiny()
    nodes = session.graph.nodes
    wanted = {nodes[key].stage for key in wanted_until(session.graph, name)}
    assert wanted >= reached
    assert not wanted & {"unlearn", "evaluate", "report"}
    assert ("effect" in wanted) == (name == "fit")


@pytest.mark.parametrize("name", ["train", "fit", "unlearn", "evaluate", "report", "studies", "convex"])
def test_a_module_that_has_gone_names_its_successor(name: str) -> None:
    command = [sys.executable, "-m", f"jobs.{name}", "mine.yaml"]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert ended.returncode == options.BAD_CONFIG
    assert f"use `python -m jobs.run --only {'studies' if name == 'convex' else name}" in ended.stderr
