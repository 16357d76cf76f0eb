"""The walk finishes, resumes and reports failures; all executors agree bit for bit."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import StoppingExecutor, all_done, fail, nothing, run_serially, statuses, tables

from jobs.session import Session
from pipeline.core.errors import ConfigError
from pipeline.core.resources import Need
from pipeline.execution import shard_sizes
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import Task, compute_task
from pipeline.tracking.result_pages import result_rows

Open = Callable[..., Session]

BROKEN = """
from pipeline.unlearning.no_op import NoOp

class Broken(NoOp):
    def unlearn(self, request):
        if 5 in range(0, 6) and len(request.seeds) == 1:
            raise ValueError("this shard is poisoned")
        return super().unlearn(request)
"""


@pytest.mark.usefixtures("finished")
def test_a_run_ends_done_and_a_second_one_computes_nothing(open_tiny: Open) -> None:
    assert set(statuses(open_tiny()).values()) == {"done"}
    again = run_serially(open_tiny())
    assert again.n_models_made == 0
    assert not again.made


def test_a_stopped_run_ends_with_the_tables_of_an_undisturbed_one(
    open_tiny: Open, tmp_path: Path, whole: Path
) -> None:
    for stop_after in (3, 7, 12):
        session = open_tiny(store=tmp_path / "stopped")
        walk = Walk(
            session.graph,
            session.store,
            open_executor=lambda session=session, n=stop_after: StoppingExecutor(session, n),
        )
        with pytest.raises(KeyboardInterrupt):
            walk.run()
        folder = next((tmp_path / "stopped" / "train").glob("*/*"))
        (folder / ".half-written-0000").write_bytes(b"PAR1 half a file")
    run_serially(open_tiny(store=tmp_path / "stopped"), draws=True)
    assert tables(tmp_path / "stopped") == tables(whole)


def test_shard_size_changes_no_member(open_tiny: Open, tmp_path: Path) -> None:
    one, other = open_tiny(store=tmp_path / "a"), open_tiny("store.shard_members=3", store=tmp_path / "b")
    run_serially(one, until="train")
    run_serially(other, until="train")
    for key in ("train/subset", "train/oracle/wrong"):
        tables_of = [session.graph.survey(session.store)[key].table for session in (one, other)]
        left, right = one.store.read(tables_of[0]), other.store.read(tables_of[1])
        assert all(np.array_equal(left[name], right[name]) for name in left)


@pytest.mark.ray
def test_ray_and_serial_agree_to_the_bit(
    open_tiny: Open, whole: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.execution.ray.tasks import RayExecutor

    # On a busy machine measured seconds cut shards, so that tables of equal rows have other names.
    monkeypatch.setattr(shard_sizes, "TARGET_SECONDS", math.inf)
    monkeypatch.setattr(shard_sizes, "FIRST_UNITS", 100)
    distributed = open_tiny()
    progress = Walk(
        distributed.graph,
        distributed.store,
        open_executor=lambda: RayExecutor(compute_task, distributed.examples),
    ).run()
    assert not progress.failures
    assert tables(distributed.store.uri) == tables(whole)


@pytest.mark.ray
def test_needs_that_no_node_meets_come_back_as_failures(ray_session: None) -> None:
    from pipeline.execution.ray.tasks import RayExecutor

    executor = RayExecutor(nothing, None, stall_seconds=0.0)
    executor.submit("task", Need(num_gpus=64.0))
    outcomes = []
    while executor.n_running:
        outcomes += executor.wait(0.1)
    executor.close()
    assert outcomes[0].task == "task"
    assert "no node offers" in outcomes[0].error
    assert "GPU" in outcomes[0].error


@pytest.mark.ray
def test_an_error_in_a_ray_task_is_an_outcome_with_its_cause(ray_session: None) -> None:
    from pipeline.execution.ray.tasks import RayExecutor

    executor = RayExecutor(fail, None)
    executor.submit("task", Need())
    outcomes = []
    while executor.n_running:
        outcomes += executor.wait(5.0)
    executor.close()
    assert outcomes[0].error == "ValueError: task is poisoned"


def test_a_poisoned_shard_is_named_and_the_rest_goes_on(
    open_tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_unlearner.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    session = open_tiny(unlearners={"bad": "broken_unlearner:Broken", "nothing": "no_op"})
    progress = run_serially(session)
    assert {(failure.key, failure.start, failure.stop) for failure in progress.failures} == {
        ("unlearn/bad/some", 5, 6),
        ("unlearn/bad/wrong", 5, 6),
    }
    assert "this shard is poisoned" in progress.failures[0].error
    found = statuses(session)
    assert found["evaluate/klom/nothing/some"] == "done"
    assert found["unlearn/bad/some"] == "partial"
    assert found["evaluate/klom/bad/some"] == "waiting"


def test_allow_missing_goes_on_and_is_another_answer(
    open_tiny: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_too.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    session = open_tiny(unlearners={"bad": "broken_too:Broken"})
    progress = run_serially(session, allow_missing=True)
    assert len(progress.failures) == 2
    assert progress.states["report"].status == "done"
    assert result_rows(session.graph, session.store, progress.states)[0]["n_models"] == [5, 6]
    assert statuses(session)["evaluate/klom/bad/some"] == "stale"


def test_what_another_run_made_meanwhile_is_left_as_it_is(open_tiny: Open) -> None:
    session = open_tiny()

    def compute_twice(task: Task, device: str) -> object:
        compute_task(task, session.examples, device)
        before = tables(session.store.uri)
        again = compute_task(task, session.examples, device)
        assert tables(session.store.uri) == before
        return again

    progress = Walk(
        session.graph, session.store, open_executor=lambda: SerialExecutor(compute_twice), until="unlearn"
    ).run()
    assert all_done(progress)
    assert progress.n_models_made == 0


def test_until_stops_after_a_stage(open_tiny: Open) -> None:
    session = open_tiny()
    run_serially(session, until="fit")
    found = statuses(session)
    assert found["fit"] == "done"
    assert found["effect/some"] == "missing"


def test_an_unknown_stage_is_refused(open_tiny: Open) -> None:
    session = open_tiny()
    with pytest.raises(ConfigError, match="unknown stage 'fitt'"):
        run_serially(session, until="fitt")


def test_a_corrupt_parent_is_never_used(open_tiny: Open) -> None:
    session = open_tiny()
    run_serially(session, until="train")
    shard = next(Path(session.store.uri).glob("train/subset-*/*/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:200])
    progress = run_serially(session)
    assert [failure.key for failure in progress.failures] == ["factor"]
    assert shard.name in progress.failures[0].error
    assert "dmm verify --repair" in progress.failures[0].error


@pytest.mark.heavy
def test_two_processes_on_one_store_end_with_the_tables_of_one_alone(
    open_tiny: Open, tmp_path: Path, whole: Path
) -> None:
    together = open_tiny(store=tmp_path / "shared")
    (tmp_path / "tiny.yaml").write_text(together.experiment.to_yaml())
    command = [
        sys.executable,
        "-m",
        "jobs",
        "run",
        "tiny.yaml",
        "--store",
        "shared",
        "--executor",
        "serial",
        "--json",
    ]
    house = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=house
        )
        for _ in range(2)
    ]
    answers = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert tables(tmp_path / "shared") == tables(whole)
    assert not together.store.files.names("quarantine")
    n_models = sum(
        state.node.n_units for state in together.graph.survey(together.store).values() if state.node.trains
    )
    assert sum(json.loads(out.splitlines()[-1])["n_models_made"] for out, _ in answers) < 2 * n_models


@pytest.mark.slow
def test_dmm_forgets_a_coherent_set_where_doing_nothing_does_not(open_tiny: Open) -> None:
    sizes = {"subset": 200, "designed": 200, "full": 40, "oracle": 40, "floor": 40}
    session = open_tiny(
        "store.shard_members=50",
        "store.layout.block_points=256",
        dataset={"name": "digits", "n_train": 600},
        model={"name": "mlp", "width": 32},
        recipe={"epochs": 10, "learning_rate": 0.2, "momentum": 0.9, "ensemble": "stacked"},
        populations={"heldout": None, **{role: {"n_models": n_models} for role, n_models in sizes.items()}},
        forget_sets={"coherent": {"name": "coherent", "label": 8, "n_points": 8}},
        unlearners={"nothing": "no_op", "dmm": {"name": "dmm", "retain_points": 60}},
    )
    progress = run_serially(session)
    rows = {row["unlearner"]: row for row in result_rows(session.graph, session.store, progress.states)}
    assert rows["nothing"]["mean"]["forget"] > 2 * rows["dmm"]["mean"]["forget"]
    assert rows["dmm"]["cost"]["fraction"] < 0.2
