"""The driver is killed during a run, or a worker during a task.

The final tables equal those of an undisturbed run.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import die_once, statuses, tables

from jobs.session import Session
from pipeline.core.resources import Need
from pipeline.store.files import TEMPORARY

pytestmark = pytest.mark.heavy

Open = Callable[..., Session]


# An unlearner that says where it was reached and then waits until it is told to end.
WAITING = """
import pathlib, time
from pipeline.unlearning.no_op import NoOp

class Waiting(NoOp):
    def unlearn(self, request):
        pathlib.Path("reached").touch()
        time.sleep(3600)
"""


def start(*words: str | Path, cwd: Path) -> subprocess.Popen:
    house = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(cwd)])}
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=house,
    )


@pytest.mark.slow
def test_a_driver_killed_again_and_again_ends_with_the_tables_of_an_undisturbed_run(
    open_tiny: Open, tmp_path: Path, whole: Path
) -> None:
    config, store = tmp_path / "tiny.yaml", tmp_path / "killed"
    killed = open_tiny(store=store)
    config.write_text(killed.experiment.to_yaml())
    for n_writes in (3, 18, 31):
        assert (
            start(Path(__file__).with_name("killed.py"), config, store, str(n_writes), cwd=tmp_path).wait()
            == -signal.SIGKILL
        )
        states = killed.graph.survey(killed.store).values()
        assert sum(len(killed.store.shards(state.folder)) for state in states if state.folder) == len(
            tables(store)
        )
        assert all((state.status == "done") == (state.n_done == state.node.n_units) for state in states)
        assert len(tables(store)) < len(tables(whole))
    assert (
        start("-m", "jobs", "run", config, "--store", store, "--executor", "serial", cwd=tmp_path).wait() == 0
    )
    assert set(statuses(killed).values()) == {"done"}
    assert tables(store) == tables(whole)


@pytest.mark.slow
def test_a_driver_that_is_told_to_end_stops_at_once_and_leaves_nothing_half_done(
    open_tiny: Open, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    monkeypatch.syspath_prepend(str(tmp_path))
    session = open_tiny(store=tmp_path / "ended", unlearners={"waiting": "waiting:Waiting"})
    (tmp_path / "tiny.yaml").write_text(session.experiment.to_yaml())
    process = start(
        "-m", "jobs", "run", "tiny.yaml", "--store", "ended", "--executor", "serial", cwd=tmp_path
    )
    while not (tmp_path / "reached").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130
    assert tables(tmp_path / "ended")
    assert not list((tmp_path / "ended").rglob(f"{TEMPORARY}*"))
    assert not [
        problem
        for state in session.graph.survey(session.store).values()
        if state.folder
        for problem in session.store.check(state.folder)
    ]


@pytest.mark.ray
def test_a_worker_killed_in_its_task_says_so_and_another_try_succeeds(
    tmp_path: Path, ray_session: None
) -> None:
    from pipeline.execution.ray.tasks import RayExecutor

    executor, outcomes = RayExecutor(die_once, None), []
    for _ in range(2):
        executor.submit(str(tmp_path / "task"), Need())
        while executor.n_running:
            outcomes += executor.wait(5.0)
    executor.close()
    assert [(outcome.fault, outcome.result) for outcome in outcomes if outcome.error] == [("crashed", None)]
    assert outcomes[1].result == str(tmp_path / "task")


@pytest.mark.ray
@pytest.mark.slow
def test_a_blind_node_is_passed_over_a_lost_one_is_told_from_a_crash_and_a_lost_head_is_no_silence() -> None:
    command = [sys.executable, str(Path(__file__).with_name("lost_node.py"))]
    house = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        command,
        env=house,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=600,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["blind"], told["others"]) == ("unseen", 6 * [True])
    assert (told["fault"], told["again"]) == ("lost", None)
    assert "the Ray cluster is gone: its head has not answered" in told["error"]
    assert "run the same command again" in told["error"]
