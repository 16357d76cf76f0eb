"""The counts of a run, for the code that shows or logs them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.execution.executor import Fault
from pipeline.execution.failures import Failure
from pipeline.graph.graph import NodeState


@dataclass(kw_only=True)
class Progress:
    """What a run has done so far; only the walk writes it, and listeners read it.

    under_way: for each node, how many units its running shards have finished, as far as their tasks reported.
    faults: how many tasks came back without a result, including those that were tried again. notice: what the
    run waits for, if anything.
    """

    states: Mapping[str, NodeState]
    wanted: frozenset[str]
    begun: float = field(default_factory=time.monotonic)
    made: dict[str, int] = field(default_factory=dict)
    shards_made: dict[str, int] = field(default_factory=dict)
    under_way: dict[str, float] = field(default_factory=dict)
    n_models_made: int = 0
    running: dict[str, int] = field(default_factory=dict)
    core_seconds: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    faults: dict[Fault, int] = field(default_factory=dict)
    notice: str = ""

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    def n_done(self, key: str) -> int:
        """Return how many units of a node exist: those of the last survey and those computed since."""
        state = self.states[key]
        return min(state.node.n_units, state.n_done + self.made.get(key, 0))

    def n_shards(self, key: str) -> int:
        """Return how many shards exist that hold units of a node."""
        return len({piece.shard for piece in self.states[key].pieces}) + self.shards_made.get(key, 0)

    def models_under_way(self) -> float:
        """Return how many models the running shards have finished so far, with fractions."""
        return sum(
            (units for key, units in self.under_way.items() if self.states[key].node.trains), start=0.0
        )

    def remaining_models(self) -> int:
        """Return how many models are still to be trained or unlearned."""
        return sum(
            state.node.n_units - self.n_done(key)
            for key, state in self.states.items()
            if state.node.trains and key in self.wanted
        )


class Listener:
    """Gets the progress of a run; the base class ignores it."""

    def changed(self, progress: Progress) -> None:
        """Take in the progress; called a few times a second and whenever something has finished."""

    def node_done(self, state: NodeState, progress: Progress) -> None:
        """Take in a complete wanted node; called once for each, also for those complete at the start."""
