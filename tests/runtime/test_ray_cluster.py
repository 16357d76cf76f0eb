"""What a run says while it waits for machines, and that a cluster which is gone is an error, not silence."""

import time

import pytest

from pipeline.core.errors import ExecutionError
from pipeline.runtime.execution import Need

NEED = Need(num_gpus=2.0, custom=(("spot", 1.0),))
SMALL, LARGE = {"CPU": 8.0}, {"CPU": 8.0, "GPU": 4.0, "spot": 1.0}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until its one entry is changed."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_need_that_is_not_met_is_first_said_then_given_up(clock: list[float]) -> None:
    from pipeline.runtime.ray_cluster import SAID_AFTER, Patience

    patience = Patience(300.0)
    assert (patience.hopeless({NEED}, [SMALL]), patience.notice) == ({}, "")
    clock[0] += SAID_AFTER
    assert patience.hopeless({NEED}, [SMALL]) == {}
    assert "waiting for a node that offers {'CPU': 1.0, 'GPU': 2.0, 'spot': 1.0}" in patience.notice
    clock[0] += 300.0
    assert "raise resources.patience_seconds" in patience.hopeless({NEED}, [SMALL])[NEED]


def test_a_node_that_comes_late_ends_the_wait(clock: list[float]) -> None:
    from pipeline.runtime.ray_cluster import Patience

    patience = Patience(300.0)
    patience.hopeless({NEED}, [])
    clock[0] += 200.0
    assert (patience.hopeless({NEED}, [LARGE]), patience.notice) == ({}, "")
    patience.hopeless({NEED}, [])
    clock[0] += 200.0
    assert patience.hopeless({NEED}, []) == {}


@pytest.mark.ray
def test_a_head_that_does_not_answer_is_an_error(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.runtime import ray_cluster

    lookout = ray_cluster.Lookout()
    assert lookout.machines()[0]["CPU"] == 2.0
    lookout.close()
    monkeypatch.setattr(ray_cluster, "GONE_SECONDS", 0.0)
    with pytest.raises(ExecutionError, match="the Ray cluster is gone: its head has not answered"):
        lookout.machines()


@pytest.mark.ray
def test_the_own_machine_leaving_is_an_error(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.runtime import ray_cluster

    lookout = ray_cluster.Lookout()
    lookout.close()
    monkeypatch.setattr(lookout, "_nodes", [node | {"Alive": False} for node in lookout._nodes])
    with pytest.raises(ExecutionError, match="the machine that this command runs on has left it"):
        lookout.machines()


@pytest.mark.parametrize(
    ("name", "fault"), [("OutOfMemoryError", "memory"), ("NodeDiedError", "lost"), ("WorkerCrashedError", "crashed"), ("RayError", "error")]
)
def test_a_loss_is_laid_at_the_right_door(name: str, fault: str) -> None:
    import ray

    from pipeline.runtime.ray_tasks import lost

    kind = getattr(ray.exceptions, name)
    outcome = lost("task", kind() if name == "WorkerCrashedError" else kind("told by Ray"))
    assert (outcome.task, outcome.fault) == ("task", fault)
    assert outcome.error.startswith(f"{name}: ")


def test_where_the_own_raylet_died_no_task_is_tried_again() -> None:
    import ray

    from pipeline.runtime.ray_tasks import lost

    with pytest.raises(ExecutionError, match="start the cluster and run the same command again"):
        lost("task", ray.exceptions.LocalRayletDiedError())
