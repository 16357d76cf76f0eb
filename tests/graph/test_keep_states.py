"""Weights may be kept beside shards.

The shards are the same either way. If weights must be kept, a shard is done only when they are listed too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, all_done, run_serially, statuses, tables

from jobs.running import planning
from jobs.running.run_scope import scope_of
from jobs.session import Session
from pipeline.core.errors import ConfigError, StoreError
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.shard_sizes import ShardSizes
from pipeline.execution.walk import Walk
from pipeline.graph.nodes.train import read_states
from pipeline.graph.reading.kept_states import read_kept
from pipeline.graph.shard_task import Task, compute_task

Open = Callable[..., Session]
ORACLE = "train/oracle/some"


def keeping(role: str = "oracle", *, keep: bool = True, **changes: Any) -> dict[str, Any]:
    return {role: {**TINY["populations"][role], "keep_states": keep, **changes}}


def open_keeping(open_tiny: Open, **roles: Any) -> Session:
    return open_tiny(populations=TINY["populations"] | roles)


@pytest.mark.usefixtures("finished")
def test_turning_it_on_trains_again_gives_the_same_bits_and_says_so(open_tiny: Open, tmp_path: Path) -> None:
    before = tables(tmp_path / "store")
    session = open_keeping(open_tiny, **keeping())
    assert {key for key, status in statuses(session).items() if status != "done"} == {
        ORACLE,
        "train/oracle/wrong",
    }
    assert f"{ORACLE}: 6 models exist without their weights and are trained again to keep them" in " ".join(
        planning.planned_work(session)["notices"]
    )
    progress = run_serially(session)
    assert (progress.n_models_made, progress.failures) == (12, [])
    assert tables(tmp_path / "store") == before
    state = session.graph.survey(session.store)[ORACLE]
    assert state.status == "done"
    assert len(read_states(session.store, state.table, 1, 4)["1.bias"]) == 3


@pytest.mark.usefixtures("finished")
def test_turning_it_on_keeps_the_ranges_of_shards_whatever_a_model_costs_now(
    open_tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What read the shards stays valid, since their names are the same."""
    before = tables(tmp_path / "store")
    monkeypatch.setattr(ShardSizes, "most_units", lambda *_: 2)
    session = open_tiny("store.shard_members=3", populations=TINY["populations"] | keeping())
    assert run_serially(session, until="train").n_models_made == 12
    assert tables(tmp_path / "store") == before
    assert set(statuses(session).values()) == {"done"}


@pytest.mark.usefixtures("finished")
def test_turning_it_off_again_loses_nothing(open_tiny: Open) -> None:
    run_serially(open_keeping(open_tiny, **keeping("heldout")), until="train")
    assert set(statuses(open_tiny()).values()) == {"done"}


def test_it_is_no_part_of_an_experiment(open_tiny: Open) -> None:
    assert open_keeping(open_tiny, **keeping()).experiment.digest == open_tiny().experiment.digest


def test_weights_that_are_needed_must_be_kept(open_tiny: Open) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"starts from populations.full, whose weights are not kept; set populations.full.keep_states=true"
        ),
    ):
        open_keeping(open_tiny, **keeping("full", keep=False))
    with pytest.raises(ConfigError, match=r"set populations.scout.keep_states=true"):
        open_keeping(open_tiny, **keeping("scout", keep=False))


def test_a_damaged_file_of_weights_is_set_aside_and_made_again(open_tiny: Open, finished: Path) -> None:
    session = open_tiny()
    table = session.graph.survey(session.store)["train/full"].table
    (path,) = [finished / table.folder / str(table.pieces[0].shard.beside)]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\x00" if content[-1:] != b"\x00" else content[:-1] + b"\x01")
    (problem,) = session.store.check(table.folder)
    assert (problem.path, problem.range) == (f"{table.folder}/{path.name}", (0, 5))
    session.store.quarantine(problem.path)
    assert statuses(session)["train/full"] == "partial"
    assert run_serially(session, until="train").n_models_made == 5
    assert path.read_bytes() == content


JUDGED_BY_WEIGHTS = {"judges": TINY["judges"] | {"weights": "outside_judges:Weights"}}
MOVED = {f"unlearn/{method}/{label}" for method in ("dmm", "ascent") for label in TINY["forget_sets"]}


def computed_by(session: Session) -> set[str]:
    """Compute what is missing and return the keys of the tables that shards were computed of."""
    keys = set()

    def compute(task: Task, device: str) -> dict[str, Any]:
        keys.add(task.node.key)
        return compute_task(task, session.examples, device)

    assert all_done(Walk(session.graph, session.store, open_executor=lambda: SerialExecutor(compute)).run())
    return keys


@pytest.mark.usefixtures("finished")
def test_a_judge_of_weights_unlearns_again_to_keep_them_and_plan_says_so(
    open_tiny: Open, tmp_path: Path
) -> None:
    """Methods that move no weights have none to keep."""
    before, folders = tables(tmp_path / "store"), {key: open_folder(open_tiny(), key) for key in MOVED}
    session = open_tiny(**JUDGED_BY_WEIGHTS)
    said = "6 models exist without their weights and are unlearned again to keep them; outputs stay the same"
    assert {f"{key}: {said}" for key in MOVED} <= set(planning.planned_work(session)["notices"])
    judged = {key for key in session.graph.nodes if key.startswith("evaluate/weights/")}
    retrained = {f"train/{role}/{label}" for role in ("oracle", "floor") for label in TINY["forget_sets"]}
    expected = MOVED | retrained | judged | {"report"}
    assert {key for key, status in statuses(session).items() if status != "done"} == expected
    assert computed_by(session) == expected
    assert {key: open_folder(session, key) for key in MOVED} == folders
    assert {path.split("/")[0] for path in tables(tmp_path / "store") ^ before} == {"evaluate", "report"}
    assert set(statuses(open_tiny()).values()) == {"done"}


def test_verdicts_on_a_method_that_reads_such_tables_stay_done_too(open_tiny: Open) -> None:
    few = {
        "forget_sets": {"some": {"name": "random", "n_points": 5}},
        "unlearners": {"om": {"name": "oracle_matching", "epochs": 1, "retain_points": 10}},
    }
    run_serially(open_tiny(**few))
    session = open_tiny(**few, **JUDGED_BY_WEIGHTS)
    found = statuses(session)
    assert {found[f"evaluate/{judge}/om/some"] for judge in TINY["judges"]} == {"done"}
    assert found["unlearn/om/some"] == "missing"
    assert computed_by(session) >= {"train/oracle/some", "unlearn/om/some", "evaluate/weights/om/some"}
    assert set(statuses(open_tiny(**few)).values()) == {"done"}


@pytest.mark.usefixtures("finished")
def test_an_entry_whose_tables_are_done_wants_no_weights(open_tiny: Open) -> None:
    session = open_keeping(open_tiny, **keeping())
    scope = scope_of("evaluate", session, allow_missing=False)
    assert not any(key.startswith("train/oracle") for key in scope.wanted)


def open_folder(session: Session, key: str) -> str | None:
    return session.graph.survey(session.store)[key].folder


def test_a_damaged_file_of_unlearned_weights_is_set_aside_and_made_again(open_tiny: Open) -> None:
    session = open_tiny(**JUDGED_BY_WEIGHTS)
    table = run_serially(session, until="unlearn").states["unlearn/ascent/some"].table
    path = Path(session.store.uri) / table.folder / str(table.pieces[1].shard.beside)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    (problem,) = session.store.check(table.folder)
    session.store.quarantine(problem.path)
    assert statuses(session)["unlearn/ascent/some"] == "partial"
    assert computed_by(session) >= {"unlearn/ascent/some"}
    assert path.read_bytes() == content


def test_weights_that_were_not_kept_are_not_read_in_part(open_tiny: Open, finished: Path) -> None:
    session = open_tiny()
    table = session.graph.survey(session.store)["unlearn/ascent/some"].table
    with pytest.raises(
        StoreError,
        match=(
            r"keeps the weights of its first 1 models, but 5 are read; a judge that reads weights must name"
        ),
    ):
        read_kept(session.store, table, 0, 6)


def test_unlearning_can_start_from_another_population(open_tiny: Open) -> None:
    unlearners = {"ascent": {"name": "gradient_ascent", "epochs": 1, "start": "subset"}}
    with pytest.raises(
        ConfigError, match=r"unlearners.ascent starts from populations.subset, whose weights are not kept"
    ):
        open_tiny(unlearners=unlearners, judges={"klom": {"n_resamples": 20}})
    session = open_tiny(
        unlearners=unlearners,
        judges={"klom": {"n_resamples": 20}},
        populations=TINY["populations"] | keeping("subset"),
    )
    assert not run_serially(session, until="unlearn").failures
    states = session.graph.survey(session.store)
    unlearned, start = states["unlearn/ascent/some"], states["train/subset"]
    assert (unlearned.node.n_units, unlearned.status) == (20, "done")
    moved = read_states(session.store, unlearned.table, 0, 1)
    assert not torch.equal(moved["1.weight"], read_states(session.store, start.table, 0, 1)["1.weight"])
