"""Killed without warning: the driver in mid-run, a worker in mid-task. What comes out in the end equals an undisturbed run."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import die_once, statuses, tables

from jobs.session import Session
from pipeline.runtime.execution import Need

Open = Callable[..., Session]


def start(config: Path, store: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "jobs", "run", str(config), "--store", str(store), "--executor", "serial"]
    house = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(command, cwd=config.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=house)


def kill_after(process: subprocess.Popen, store: Path, n_shards: int) -> bool:
    """Kill process as soon as the store lists n_shards; return whether it was still alive."""
    while len(tables(store)) < n_shards:
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        return False
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_driver_killed_again_and_again_ends_with_the_tables_of_an_undisturbed_run(open_tiny: Open, tmp_path: Path, whole: Path) -> None:
    killed = open_tiny(store=tmp_path / "killed")
    (tmp_path / "tiny.yaml").write_text(killed.experiment.to_yaml())
    for n_shards in (1, 9, 20):
        assert kill_after(start(tmp_path / "tiny.yaml", tmp_path / "killed"), tmp_path / "killed", n_shards)
        states = killed.graph.survey(killed.store).values()
        assert sum(len(killed.store.shards(state.folder)) for state in states if state.folder) == len(tables(tmp_path / "killed"))
        assert all((state.status == "done") == (state.n_done == state.node.n_units) for state in states)
    assert start(tmp_path / "tiny.yaml", tmp_path / "killed").wait() == 0
    assert set(statuses(killed).values()) == {"done"}
    assert tables(tmp_path / "killed") == tables(whole)


@pytest.mark.ray
def test_a_worker_killed_in_its_task_costs_a_retry_and_nothing_else(tmp_path: Path, ray_session: None) -> None:
    from pipeline.runtime.ray_tasks import RayExecutor

    executor = RayExecutor(die_once, None)
    for name in ("first", "second"):
        executor.submit(str(tmp_path / name), Need())
    outcomes = []
    while executor.n_running:
        outcomes += executor.wait(5.0)
    executor.close()
    assert {outcome.result for outcome in outcomes} == {str(tmp_path / "first"), str(tmp_path / "second")}
    assert not any(outcome.error for outcome in outcomes)
