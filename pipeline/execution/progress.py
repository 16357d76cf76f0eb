"""What a run has done so far, for whoever watches it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.execution.executor import Fault
from pipeline.execution.failures import Failure
from pipeline.graph.graph import NodeState


@dataclass(kw_only=True)
class Progress:
    """What a run has done so far; listeners read it, only the walk writes it.

    under_way holds, by node, how many units the shards that run now amount to so far, as far as they told.
    faults counts tasks that came back without a result, those that were tried again included; notice is what
    the run waits for, if anything.
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
        """Units of a node that exist: found at the last survey, or made since."""
        state = self.states[key]
        return min(state.node.n_units, state.n_done + self.made.get(key, 0))

    def n_shards(self, key: str) -> int:
        """Shards of a node that exist, as far as they hold units of it."""
        return len({piece.shard for piece in self.states[key].pieces}) + self.shards_made.get(key, 0)

    def models_under_way(self) -> float:
        """Models that the shards that run now amount to so far."""
        return sum(
            (units for key, units in self.under_way.items() if self.states[key].node.trains), start=0.0
        )

    def remaining_models(self) -> int:
        """Models still to be trained or unlearned."""
        return sum(
            state.node.n_units - self.n_done(key)
            for key, state in self.states.items()
            if state.node.trains and key in self.wanted
        )


class Listener:
    """Whoever watches a run; the base class watches nothing."""

    def changed(self, progress: Progress) -> None:
        """Called a few times a second, and whenever something finished."""

    def node_done(self, state: NodeState, progress: Progress) -> None:
        """Called once for each wanted node when all of it exists, those found done at the start included."""
