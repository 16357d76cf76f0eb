"""A serial executor holds one outcome at a time, and no failure of a user's plug-in ends the run."""

import pytest

from pipeline.core.resources import Need
from pipeline.execution.executor import SerialExecutor


def fail(task, device):
    raise task


def place(task, device):
    return f"{task} on {device}"


def test_there_is_room_again_once_the_outcome_is_taken():
    executor = SerialExecutor(place, "cuda:0")
    executor.submit("a", Need())
    assert (executor.has_room(), executor.n_running) == (False, 1)
    assert [outcome.result for outcome in executor.wait(0.0)] == ["a on cuda:0"]
    assert (executor.has_room(), executor.n_running, executor.wait(0.0)) == (True, 0, [])


def test_what_was_not_taken_is_dropped_at_the_end():
    executor = SerialExecutor(fail)
    executor.submit(ValueError("bad"), Need())
    executor.close()
    assert (executor.n_running, executor.wait(0.0)) == (0, [])


@pytest.mark.parametrize("error", [AssertionError("bad"), ImportError("bad"), EOFError("bad")])
def test_any_error_of_a_users_plugin_is_an_outcome(error):
    executor = SerialExecutor(fail)
    executor.submit(error, Need())
    assert [outcome.error for outcome in executor.wait(0.0)] == [f"{type(error).__name__}: bad"]
