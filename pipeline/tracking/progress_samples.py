"""The curves that MLflow shows while a run works.

The parent run, and each child run with running tasks, get a point every few seconds. Points are kept until
MLflow has received them.
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

# The most points of one child run that wait for MLflow. If there are more, every second one is dropped. With
# one point every 5 s, 720 points come in one hour.
MOST_POINTS = 720


@dataclass(frozen=True)
class Sample:
    """The metrics of a run at one moment.

    seconds is the time since this attempt began. moment is in seconds since the epoch.
    """

    seconds: float
    moment: float
    metrics: Numbers

    def point(self, before: float) -> Point:
        """Return the sample as a point of curves.

        before holds the seconds of earlier attempts. The step is the total in whole seconds, so a resumed run
        continues its curves.
        """
        return Point(
            step=int(before + self.seconds),
            moment=self.moment,
            metrics={"progress/seconds": before + self.seconds, **self.metrics},
        )


class Samples:
    """Samples that are not sent yet, at most MOST_POINTS for each child run.

    The class has no lock of its own; callers from several threads must hold one.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Sample]] = {}
        self._parent_is_next = True

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, child: str, *samples: Sample) -> None:
        """Keep samples of a child run until `take` removes them.

        Samples that could not be sent are given back here, and are put before newer ones. If there are more
        than MOST_POINTS, every second one is dropped.
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
        """Return the child run whose samples to send next, None if there are no samples.

        Every second turn is the parent's. The child runs share the other turns; the one that has waited
        longest is next.
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
        """Return a sample of the parent, and of each child run with running tasks, by name of the child run.

        spent_before holds the core seconds of earlier attempts by node key, None while they are not known.
        """
        for key in progress.wanted:
            # Only computed units count for the pace. The number of finished units also grows when units are
            # found in the store. So an increase counts only once this run has computed units of the node.
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
        """Return the metrics of the nodes with these keys; the metrics are named prefix/….

        name identifies the group of nodes, so that its pace continues from the previous call.
        """
        nodes = [progress.states[key].node for key in keys]
        done = {key: progress.n_done(key) for key in keys}
        # If nodes of the group train, only they are counted, in models. Other groups are counted in units,
        # such as blocks of points.
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
