"""What becomes of a shard that came back without a result: tried again, cut in halves, given up.

And when a run had better stop.

Only what can be the shard's own fault counts towards giving it up. A machine that goes away takes its shards
with it and says nothing about them: on machines that can be preempted that happens any number of times.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pipeline.execution.executor import Fault, Outcome
from pipeline.execution.failures import Failure
from pipeline.graph.work import Task

# Times that a shard is computed before it is given up; so often again in the next run.
TRIES = 3
# Times that a shard may lose its machine. No preemption is that persistent, but a shard that brings its
# machine down would go on for ever.
MOST_LOST = 20
# Times that a shard may meet a machine that does not see the store: on each it waits for a while, in all as
# long as for a store that is away.
MOST_UNSEEN = 6
# Seconds before what failed for want of the store, or of memory, is tried again; four times as many the next
# time.
_FIRST_PAUSE = 1.0
# Shards in a row, with none finished between them, that find no space before the run stops.
FULL_IN_A_ROW = 3
# Shards of one node that are given up, with none ever finished, before its others are no longer tried: then
# it is not the shards.
MOST_GIVEN_UP = 10

Action = Literal["again", "halve", "give up", "give up all alike", "stop"]


@dataclass
class Tally:
    """How often a shard was tried, how often it was lost with its machine, and how often that did not see the store."""

    tries: int = 0
    n_lost: int = 0
    n_unseen: int = 0


class RetryPolicy:
    """The shards that failed so far, and the judgement of what to do about each."""

    def __init__(self) -> None:
        self.counts: dict[Fault, int] = {}
        self._tallies: dict[tuple[str, int, int], Tally] = {}
        self._fine: set[str] = set()
        self._given_up: Counter[str] = Counter()
        self._full_in_a_row = 0

    def succeeded(self, task: Task) -> None:
        """Note that a shard was finished."""
        self._fine.add(task.folder)
        self._full_in_a_row = 0
        if self._tallies:
            self._tallies.pop(_range(task), None)

    def tally(self, task: Task) -> Tally:
        """Return how often a shard was tried."""
        return self._tallies.setdefault(_range(task), Tally())

    def decide(self, outcome: Outcome[Task]) -> tuple[Action, float]:
        """Count a failed outcome and return what to do about its shard, and the pause in seconds before that."""
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
        # A process that the kernel kills for want of memory looks like any other that dies, so such shards
        # are cut too before they are given up.
        if task.stop - task.start > 1 and (
            fault == "memory" or (fault == "crashed" and tally.tries >= TRIES)
        ):
            return "halve", 0.0
        return ("again", pause) if fault != "refused" and tally.tries < TRIES else (self._give_up(task), 0.0)

    def inherit(self, task: Task, part: Task) -> None:
        """Let part of a shard that kept crashing be cut on after one try more.

        At one unit all tries are due again.
        """
        if part.stop - part.start > 1 and self.tally(task).tries >= TRIES:
            self.tally(part).tries = TRIES - 1

    def failure(self, outcome: Outcome[Task]) -> Failure:
        """Return what is told of a shard that is given up."""
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
    """Return the error of a shard that is given up, with the remedy where the error itself cannot know it."""
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
            f"{error}; its process died {tally.tries} times: if memory ran out, raise {setting}; else the "
            "worker's log tells"
        )
    if outcome.fault == "lost":
        return (
            f"{error}; it lost its machine {tally.n_lost} times: if it takes the machine down itself, raise "
            f"{setting}"
        )
    return error


def _range(task: Task) -> tuple[str, int, int]:
    return task.folder, task.start, task.stop
