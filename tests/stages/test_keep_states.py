"""Weights are kept beside shards, or not: the shards are the same, and a shard whose weights are to be kept is done when they are listed too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, run_serially, statuses, tables

from jobs.commands import planning
from jobs.session import Session
from pipeline.core.errors import ConfigError
from pipeline.run.shard_sizes import ShardSizes
from pipeline.stages.train import read_states

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
    assert {key for key, status in statuses(session).items() if status == "missing"} == {ORACLE, "train/oracle/wrong"}
    assert f"{ORACLE}: 6 models exist without their weights, and are trained again to keep them" in " ".join(planning.plan(session)["notices"])
    progress = run_serially(session)
    assert (progress.n_models_made, progress.failures) == (12, [])
    assert tables(tmp_path / "store") == before
    state = session.graph.survey(session.store)[ORACLE]
    assert state.status == "done"
    assert len(read_states(session.store, state.table, 1, 4)["1.bias"]) == 3


@pytest.mark.usefixtures("finished")
def test_turning_it_on_keeps_the_ranges_of_shards_whatever_a_model_costs_now(open_tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    with pytest.raises(ConfigError, match=r"starts from populations.full, whose weights are not kept; set populations.full.keep_states=true"):
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


def test_unlearning_can_start_from_another_population(open_tiny: Open) -> None:
    unlearners = {"ascent": {"name": "gradient_ascent", "epochs": 1, "start": "subset"}}
    with pytest.raises(ConfigError, match=r"unlearners.ascent starts from populations.subset, whose weights are not kept"):
        open_tiny(unlearners=unlearners, judges={"klom": {"n_resamples": 20}})
    session = open_tiny(unlearners=unlearners, judges={"klom": {"n_resamples": 20}}, populations=TINY["populations"] | keeping("subset"))
    assert not run_serially(session, until="unlearn").failures
    states = session.graph.survey(session.store)
    unlearned, start = states["unlearn/ascent/some"], states["train/subset"]
    assert (unlearned.node.n_units, unlearned.status) == (20, "done")
    moved = read_states(session.store, unlearned.table, 0, 1)
    assert not torch.equal(moved["1.weight"], read_states(session.store, start.table, 0, 1)["1.weight"])
