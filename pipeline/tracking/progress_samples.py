"""Curves of a run in progress.

The parent and each running child get a point every few seconds. Points are kept until MLflow has taken them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.execution.progress import Progress
from pipeline.graph.node import Node
from pipeline.graph.node_kinds import stages
from pipeline.results.tracked import PARENT, Numbers, Point
from pipeline.tracking.children import child_of, retrainings_of
from pipeline.tracking.rate import Pace

# A curve that waits loses every second point at this length; an hour of silence is 720 points.
MOST_POINTS = 720


@dataclass(frozen=True)
class Sample:
    """The metrics of a run at one moment.

    seconds counts from the beginning of this attempt. moment is in seconds since the epoch.
    """

    seconds: float
    moment: float
    metrics: Numbers

    def point(self, before: float) -> Point:
        """Return the sample as a point of curves.

        Its step is the whole seconds of work, with those of earlier attempts (before).
        """
        return Point(
            step=int(before + self.seconds),
            moment=self.moment,
            metrics={"progress/seconds": before + self.seconds, **self.metrics},
        )


class Samples:
    """Points that are not sent yet, by child, the longest waiting first; at most MOST_POINTS of each.

    Not safe for threads by itself.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Sample]] = {}
        self._parent_is_next = True

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, child: str, *samples: Sample) -> None:
        """Keep samples of child; samples that are given back come before newer ones.

        If there are too many, every second one is dropped.
        """
        waiting = self._waiting.setdefault(child, [])
        is_given_back = bool(waiting) and samples[0].seconds < waiting[0].seconds
        waiting[0 if is_given_back else len(waiting) :] = [*samples, *waiting] if is_given_back else samples
        if len(waiting) > MOST_POINTS:
            self._waiting[child] = waiting[::-1][::2][::-1]

    def take(self, child: str) -> list[Sample]:
        """Remove and return all samples of child."""
        return self._waiting.pop(child, [])

    def next_child(self) -> str | None:
        """Return the child whose turn it is, None if nothing is kept.

        Every second turn is the parent's; the other children take turns in the rest.
        """
        others = [child for child in self._waiting if child != PARENT]
        is_parents = PARENT in self._waiting and (self._parent_is_next or not others)
        self._parent_is_next = not is_parents
        return PARENT if is_parents else next(iter(others), None)


class Sampler:
    """Turns the progress of a run into samples.

    A sample says how much is done, how fast, how long the rest will take, how much failed, and the cost so
    far.
    """

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}
        self._seen: dict[str, int] = {}
        self._made: dict[str, int] = {}

    def look(self, progress: Progress, spent_before: Mapping[str, float] | None) -> dict[str, Sample]:
        """Return a sample of the parent, and of each child with running tasks.

        spent_before holds core seconds of earlier attempts by node, None while they are not known.
        """
        for key in progress.wanted:
            # Units that were only found in the store, once the parents are known, do not count for the pace.
            # Some units of the node must have been computed.
            grown = progress.n_done(key) - self._seen.get(key, 0)
            self._made[key] = self._made.get(key, 0) + (
                grown if key in progress.core_seconds and key in self._seen else 0
            )
            self._seen[key] = progress.n_done(key)
        running = {key for key, count in progress.running.items() if count}
        by_child = _grouped(progress, child_of)
        by_stage = _grouped(progress, lambda node: node.stage)
        metrics = self._measure("progress", PARENT, list(progress.wanted), progress, spent_before)
        for stage in stages():
            if running.intersection(by_stage.get(stage, ())):
                metrics |= self._measure(
                    f"progress_{stage}", f"stage {stage}", by_stage[stage], progress, spent_before
                )
        found = {PARENT: metrics} | {
            child: self._measure("progress", child, keys, progress, spent_before)
            for child, keys in by_child.items()
            if child != PARENT and running.intersection(keys)
        }
        return {child: Sample(progress.seconds, time.time(), measured) for child, measured in found.items()}

    def _measure(
        self,
        prefix: str,
        name: str,
        keys: list[str],
        progress: Progress,
        spent_before: Mapping[str, float] | None,
    ) -> dict[str, float | int]:
        """Return the metrics of some nodes below prefix; name is that of their pace."""
        nodes = [progress.states[key].node for key in keys]
        done = {key: progress.n_done(key) for key in keys}
        # A group that trains is counted in models, any other in units: members, blocks of points or tables.
        training = [node for node in nodes if node.trains] or nodes
        n_done, n_wanted = sum(done[node.key] for node in training), sum(node.n_units for node in training)
        under_way = sum((progress.under_way.get(node.key, 0.0) for node in training), start=0.0)
        pace = self._paces.setdefault(name, Pace()).update(
            progress.seconds, sum(self._made[node.key] for node in training) + under_way
        )
        unit = "models" if training[0].trains else "units"
        measured: dict[str, float | int] = {
            "shards_done": sum(progress.n_shards(node.key) for node in nodes),
            f"{unit}_done": n_done,
            f"{unit}_left": n_wanted - n_done,
            f"{unit}_under_way": under_way,
            f"{unit}_per_second": pace,
            "shards_failed": sum(failure.key in done for failure in progress.failures),
            "retrainings": retrainings_of(progress.states, done),
        }
        if (seconds_left := Pace.seconds_left(n_wanted - n_done - under_way, pace)) is not None:
            measured["eta_seconds"] = seconds_left
        if spent_before is not None:
            measured["core_seconds"] = sum(
                spent_before.get(key, 0.0) + progress.core_seconds.get(key, 0.0) for key in keys
            )
        return {f"{prefix}/{key}": value for key, value in measured.items()}


def _grouped(progress: Progress, name: Callable[[Node], str]) -> dict[str, list[str]]:
    """Return the keys of wanted nodes by what name says of each node."""
    groups: dict[str, list[str]] = {}
    for key in progress.wanted:
        groups.setdefault(name(progress.states[key].node), []).append(key)
    return groups
