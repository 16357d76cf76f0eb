"""The counts of a run, for the code that shows or logs them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.execution.executor import Fault
from pipeline.execution.failures import Failure
from pipeline.graph.graph import NodeState


@dataclass(kw_only=True)
class Progress:
    """The counts of a run so far; only the walk writes them, and listeners read them.

    Nodes are named by their keys. states: what the last survey of the store found. wanted: the nodes that the
    run computes. made and shards_made: units and shards of a node finished since the node was surveyed.
    under_way: how many units the running shards of a node have finished, as far as their tasks reported.
    faults: how many tasks ended without a result, by fault class; tasks that were tried again count too.
    notice: why tasks may have to wait, empty if there is no reason.
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
        """Return how many units of a node exist, by the last survey and the units finished since."""
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
        """Receive the progress; called a few times a second and whenever tasks have ended."""

    def node_done(self, state: NodeState, progress: Progress) -> None:
        """Receive a wanted node whose table is complete; called once for each such node.

        The table may have been complete before the run.
        """
