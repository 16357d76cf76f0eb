"""The retry policy: a failed shard is tried again, cut in halves or given up, and a run may have to stop.

A lost machine is counted apart from failed tries and has a higher limit: preemptible machines are lost often,
and their shards are not the cause.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pipeline.execution.executor import Fault, Outcome
from pipeline.execution.failures import Failure
from pipeline.graph.shard_task import Task

# A shard is given up, or cut after crashes, when so many tries have failed. The next run counts from zero.
TRIES = 3
# A shard is given up when it has lost its machine so often. Preemption alone is never that frequent; without
# this limit, a shard that brings its machine down would be tried for ever.
MOST_LOST = 20
# A shard is given up when so many of its tries met a machine that does not see the store. Each such try waits
# up to 20 s for the store (visibility.py). Together they wait as long as for a store that is away: 120 s.
MOST_UNSEEN = 6
# Seconds before the first retry of a shard that failed because the store failed, or because space or memory
# ran out. Each further pause is four times as long.
_FIRST_PAUSE = 1.0
# The run stops when so many tasks have found no space left and no task was finished between them.
FULL_IN_A_ROW = 3
# When so many shards of a table are given up and this run has finished none of its shards, the others are not
# tried, because all of them probably have the same problem.
MOST_GIVEN_UP = 10

Action = Literal["again", "halve", "give up", "give up all alike", "stop"]


@dataclass
class Tally:
    """How often a shard was tried, lost its machine, and met a machine that does not see the store."""

    tries: int = 0
    n_lost: int = 0
    n_unseen: int = 0


class RetryPolicy:
    """Counts the failures of each shard and decides whether the shard is tried again, cut or given up."""

    def __init__(self) -> None:
        self.counts: dict[Fault, int] = {}
        self._tallies: dict[tuple[str, int, int], Tally] = {}
        self._fine: set[str] = set()
        self._given_up: Counter[str] = Counter()
        self._full_in_a_row = 0

    def succeeded(self, task: Task) -> None:
        """Record that a shard was finished."""
        self._fine.add(task.folder)
        self._full_in_a_row = 0
        if self._tallies:
            self._tallies.pop(_range(task), None)

    def tally(self, task: Task) -> Tally:
        """Return the tally of a shard; its counts start at zero."""
        return self._tallies.setdefault(_range(task), Tally())

    def decide(self, outcome: Outcome[Task]) -> tuple[Action, float]:
        """Count a failed outcome; return the action for its shard and the seconds to wait before a retry."""
        task, fault, tally = outcome.task, outcome.fault, self.tally(outcome.task)
        self.counts[fault] = self.counts.get(fault, 0) + 1
        self._full_in_a_row = self._full_in_a_row + 1 if fault == "full" else self._full_in_a_row
        if fault == "lost":
            tally.n_lost += 1
            return ("again", 0.0) if tally.n_lost < MOST_LOST else (self._give_up(task), 0.0)
        if fault == "unseen":
            tally.n_unseen += 1
            return ("again", _FIRST_PAUSE) if tally.n_unseen < MOST_UNSEEN else (self._give_up(task), 0.0)
        tally.tries += 1
        pause = _FIRST_PAUSE * 4.0 ** (tally.tries - 1) if fault in ("store", "full", "memory") else 0.0
        if fault in ("unmet", "setting"):
            return "give up all alike", 0.0
        if self._full_in_a_row >= FULL_IN_A_ROW:
            return "stop", 0.0
        # A process that the kernel kills for lack of memory looks like any other crash, so crashed shards are
        # cut too before they are given up.
        if task.stop - task.start > 1 and (
            fault == "memory" or (fault == "crashed" and tally.tries >= TRIES)
        ):
            return "halve", 0.0
        return ("again", pause) if fault != "refused" and tally.tries < TRIES else (self._give_up(task), 0.0)

    def inherit(self, task: Task, part: Task) -> None:
        """Let a part of a shard that has used up its tries be cut again after a single crash.

        Otherwise each part would crash TRIES times before it is cut. A part of one unit gets all tries.
        """
        if part.stop - part.start > 1 and self.tally(task).tries >= TRIES:
            self.tally(part).tries = TRIES - 1

    def failure(self, outcome: Outcome[Task]) -> Failure:
        """Return the failure of a shard that is given up."""
        task, tally = outcome.task, self.tally(outcome.task)
        told = {"trace": outcome.trace, "host": outcome.host, "error": _advice(outcome, tally)}
        return Failure(
            key=task.node.key,
            start=task.start,
            stop=task.stop,
            tries=tally.tries + tally.n_unseen,
            n_lost=tally.n_lost,
            **told,
        )

    def _give_up(self, task: Task) -> Action:
        self._given_up[task.folder] += 1
        return (
            "give up all alike"
            if self._given_up[task.folder] >= MOST_GIVEN_UP and task.folder not in self._fine
            else "give up"
        )


def _advice(outcome: Outcome[Task], tally: Tally) -> str:
    """Return the error of a shard that is given up, with a remedy that follows from the fault class."""
    task, error = outcome.task, str(outcome.error)
    setting = f"resources.{task.node.resources_key}.memory_gb"
    if outcome.fault == "memory":
        smaller = (
            "even one unit at a time"
            if task.stop - task.start == 1
            else f"{task.stop - task.start} at a time"
        )
        return (
            f"{error}; memory ran out {smaller}: raise {setting}, so that fewer tasks share a machine, or "
            "use larger machines "
            "(store.shard_members needs no change: smaller shards were tried)"
        )
    if outcome.fault == "crashed":
        return (
            f"{error}; its process died {tally.tries} times: if memory ran out, raise {setting}, "
            "else look in the worker's log"
        )
    if outcome.fault == "lost":
        return (
            f"{error}; it lost its machine {tally.n_lost} times: if the shard itself makes the "
            f"machine fail, raise {setting}"
        )
    return error


def _range(task: Task) -> tuple[str, int, int]:
    return task.folder, task.start, task.stop
