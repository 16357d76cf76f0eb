"""A run reports what it waits for, and a cluster that is gone is an error."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.core.errors import ExecutionError
from pipeline.core.resources import Need

NEED = Need(num_gpus=2.0, custom=(("spot", 1.0),))
SMALL, LARGE = {"CPU": 8.0}, {"CPU": 8.0, "GPU": 4.0, "spot": 1.0}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until its one entry is changed."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_need_that_is_not_met_is_first_said_then_given_up(clock: list[float]) -> None:
    from pipeline.execution.ray.cluster import CLUSTER_SAID_AFTER, ConnectionPatience

    patience = ConnectionPatience(300.0)
    assert (patience.hopeless({NEED}, [SMALL]), patience.notice) == ({}, "")
    clock[0] += CLUSTER_SAID_AFTER
    assert patience.hopeless({NEED}, [SMALL]) == {}
    assert "waiting for a node that offers {'CPU': 1.0, 'GPU': 2.0, 'spot': 1.0}" in patience.notice
    clock[0] += 300.0
    assert "raise resources.patience_seconds" in patience.hopeless({NEED}, [SMALL])[NEED]


@pytest.mark.parametrize(
    ("free", "notice"),
    [(8.0, ""), (3.0, "others use 5 of the 8 CPUs of this cluster, and tasks wait for free CPUs")],
)
def test_a_cluster_that_others_use_is_said_to_be_busy(
    monkeypatch: pytest.MonkeyPatch, free: float, notice: str
) -> None:
    from pipeline.execution.ray import cluster as ray_cluster

    monkeypatch.setattr(ray_cluster.ray, "cluster_resources", lambda: {"CPU": 8.0})
    monkeypatch.setattr(ray_cluster.ray, "available_resources", lambda: {"CPU": free})
    assert ray_cluster.busy_notice().partition(";")[0] == notice


def test_a_node_that_comes_late_ends_the_wait(clock: list[float]) -> None:
    from pipeline.execution.ray.cluster import ConnectionPatience

    patience = ConnectionPatience(300.0)
    patience.hopeless({NEED}, [])
    clock[0] += 200.0
    assert (patience.hopeless({NEED}, [LARGE]), patience.notice) == ({}, "")
    patience.hopeless({NEED}, [])
    clock[0] += 200.0
    assert patience.hopeless({NEED}, []) == {}


def test_each_need_has_a_wait_of_its_own(clock: list[float]) -> None:
    from pipeline.execution.ray.cluster import ConnectionPatience

    patience, later = ConnectionPatience(300.0), Need(num_cpus=64)
    patience.hopeless({NEED}, [SMALL])
    clock[0] += 290.0
    assert patience.hopeless({NEED, later}, [SMALL]) == {}
    clock[0] += 10.0
    assert list(patience.hopeless({NEED, later}, [SMALL])) == [NEED]
    clock[0] += 290.0
    assert list(patience.hopeless({later}, [SMALL])) == [later]


def test_a_lookout_goes_on_after_a_look_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.execution.ray import cluster as ray_cluster

    answers = [[], ConnectionError("the head restarts"), [{"Alive": True, "NodeID": "a", "Resources": LARGE}]]
    seen = threading.Event()

    def nodes() -> list[dict[str, object]]:
        answer = answers.pop(0) if answers else seen.set() or []
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(ray_cluster, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(ray_cluster.ray, "nodes", nodes)
    monkeypatch.setattr(ray_cluster.ray.util.client.ray, "is_connected", lambda: True)
    lookout = ray_cluster.Lookout()
    assert seen.wait(60.0)
    lookout.close()
    assert not answers


@pytest.mark.parametrize(("address", "mode"), [("", "disabled"), ("10.0.0.1:6379", "token")])
def test_a_token_at_hand_is_used_for_a_cluster_and_nothing_else(address: str, mode: str) -> None:
    house = {
        name: value for name, value in os.environ.items() if name not in ("RAY_AUTH_MODE", "RAY_ADDRESS")
    }
    house |= {"RAY_AUTH_TOKEN": "x" * 32, "PYTHONPATH": str(Path(__file__).parents[2])} | (
        {"RAY_ADDRESS": address} if address else {}
    )
    code = "import os, pipeline.execution.ray.cluster; print(os.environ['RAY_AUTH_MODE'])"
    said = subprocess.run(
        [sys.executable, "-c", code], env=house, capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == mode


@pytest.mark.ray
def test_a_head_that_does_not_answer_is_an_error(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.execution.ray import cluster as ray_cluster

    lookout = ray_cluster.Lookout()
    assert lookout.machines()[0]["CPU"] == 2.0
    lookout.close()
    monkeypatch.setattr(ray_cluster, "GONE_SECONDS", 0.0)
    with pytest.raises(ExecutionError, match="the Ray cluster is gone: its head has not answered"):
        lookout.machines()


@pytest.mark.ray
def test_the_own_machine_leaving_is_an_error(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.execution.ray import cluster as ray_cluster

    lookout = ray_cluster.Lookout()
    lookout.close()
    monkeypatch.setattr(lookout, "_nodes", [node | {"Alive": False} for node in lookout._nodes])
    with pytest.raises(ExecutionError, match="the machine of this command is no longer part of it"):
        lookout.machines()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("OutOfMemoryError", "memory"),
        ("NodeDiedError", "lost"),
        ("WorkerCrashedError", "crashed"),
        ("RayError", "error"),
    ],
)
def test_a_loss_is_laid_at_the_right_door(name: str, fault: str) -> None:
    import ray

    from pipeline.execution.ray.tasks import lost

    kind = getattr(ray.exceptions, name)
    outcome = lost("task", kind() if name == "WorkerCrashedError" else kind("told by Ray"))
    assert (outcome.task, outcome.fault) == ("task", fault)
    assert outcome.error.startswith(f"{name}: ")


def test_where_the_own_raylet_died_no_task_is_tried_again() -> None:
    import ray

    from pipeline.execution.ray.tasks import lost

    with pytest.raises(ExecutionError, match="start the cluster and run the same command again"):
        lost("task", ray.exceptions.LocalRayletDiedError())
