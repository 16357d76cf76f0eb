"""The streaming executor keeps the contract, and its results equal those of other executors bit for bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamed import drive_that_dies, folder_of, prepare, work
from tiny import run_serially

from jobs.session import Session, stream_of
from pipeline.core.resources import Need
from pipeline.execution.executor import Executor, Outcome
from pipeline.execution.progress import Progress
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import compute_task, read_common

pytestmark = pytest.mark.ray
Open = Callable[..., Session]


def open_streams(function=work, shared="data", prepare=prepare, stream=folder_of, **options):
    from pipeline.execution.ray.streaming import StreamingExecutor

    return StreamingExecutor(function, shared, prepare=prepare, stream=stream, **options)


def run_all(folder: Path, *names: str, need: Need | None = None, **options) -> dict[str, Outcome]:
    executor, outcomes = open_streams(**{"fewest": 2, **options}), []
    for name in names:
        executor.submit((name, str(folder)), need or Need())
    while executor.n_running:
        outcomes += executor.wait(1.0)
    executor.close()
    executor.close()
    assert len(outcomes) == len(names)
    return {outcome.task[0]: outcome for outcome in outcomes}


def run_streaming(session: Session, until: str, **options) -> Progress:
    def executor() -> Executor:
        return open_streams(compute_task, session.examples, read_common, stream_of, **options)

    return Walk(session.graph, session.store, open_executor=executor, until=until).run()


def written(session: Session) -> dict[Path, int]:
    """Return the blocks of a fit and when they were written."""
    return {
        path: path.stat().st_mtime_ns for path in sorted(Path(session.store.uri).glob("fit/*/*/*.parquet"))
    }


def test_it_is_an_executor(ray_session: None) -> None:
    assert isinstance(open_streams(), Executor)


def test_what_is_alike_is_prepared_once_and_the_rest_runs_alone(ray_session: None, tmp_path: Path) -> None:
    outcomes = run_all(tmp_path, "a", "b", "c", "single")
    assert {name: outcome.result[3] for name, outcome in outcomes.items()} == {
        "a": "common",
        "b": "common",
        "c": "common",
        "single": "alone",
    }
    assert {tuple(outcome.result[1:3]) for outcome in outcomes.values()} == {("data", "cpu")}
    assert len(list(tmp_path.glob("prepared-*"))) == 1


def test_few_tasks_are_not_worth_a_pipeline(ray_session: None, tmp_path: Path) -> None:
    assert run_all(tmp_path, "a", "b", fewest=3)["a"].result[3] == "alone"


def test_a_poisoned_task_and_a_deadly_one_are_named_and_the_rest_is_done(
    ray_session: None, tmp_path: Path
) -> None:
    outcomes = run_all(tmp_path, "a", "poisoned", "deadly", "mortal", "b")
    assert outcomes["poisoned"].error == "ValueError: poisoned cannot be done"
    assert "Traceback" in outcomes["poisoned"].trace
    assert "its worker was lost (after 3 retries)" in outcomes["deadly"].error
    assert [outcomes[name].result[0] for name in ("a", "mortal", "b")] == ["a", "mortal", "b"]


def test_what_cannot_be_prepared_is_the_error_of_each_task(ray_session: None, tmp_path: Path) -> None:
    (tmp_path / "unprepared").touch()
    outcomes = run_all(tmp_path, "a", "b")
    assert {outcome.error for outcome in outcomes.values()} == {"ValueError: nothing in common"}


def test_needs_that_no_node_meets_end_a_stream(ray_session: None, tmp_path: Path) -> None:
    outcomes = run_all(tmp_path, "a", "b", need=Need(num_gpus=64.0), stall_seconds=0.0)
    assert all("no node offers" in outcome.error for outcome in outcomes.values())


def test_closing_drops_what_still_runs(ray_session: None, tmp_path: Path) -> None:
    executor = open_streams(fewest=2)
    for name in ("a", "b"):
        executor.submit((name, str(tmp_path)), Need())
    assert executor.wait(0.0) == []
    executor.close()
    assert executor.n_running == 0


def test_a_pipeline_whose_driver_is_lost_goes_on_with_what_is_left(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.execution.ray import streaming as ray_blocks

    monkeypatch.setattr(ray_blocks, "_drive", drive_that_dies)
    outcomes = run_all(tmp_path, "a", "b", "c", "d")
    assert (tmp_path / "died").exists()
    assert [outcomes[name].result[0] for name in "abcd"] == list("abcd")


@pytest.mark.parametrize(
    ("fewest", "lost", "estimator"),
    [
        (1, slice(None), "kernel"),
        (100, slice(None), "kernel"),
        (1, slice(2, 5), "kernel"),
        (1, slice(None), "trak"),
    ],
)
def test_what_is_missing_of_a_fit_gets_the_names_that_it_has_serially(
    open_tiny: Open, ray_session: None, fewest: int, lost: slice, estimator: str
) -> None:
    session = open_tiny("store.layout.block_points=10", estimator=estimator)
    run_serially(session, until="fit")
    before = written(session)
    for path in list(before)[lost]:
        path.unlink()
    assert not run_streaming(session, until="fit", fewest=fewest).failures
    assert list(written(session)) == list(before)
    assert [path for path, when in written(session).items() if when != before[path]] == list(before)[lost]
