"""How many units a shard takes, so that it lasts about a minute.

From the seconds that a unit was measured to take.

Sizes enter no identity, and shards of other sizes that exist are used as they are. Where nothing was measured
yet, a few steps of one model are timed here first. What cannot be timed like that, such as unlearning from
the models of a source, begins with shards of one unit, whose seconds are then known. Sizes are powers of two
below the user's bound, so that runs that measure slightly different seconds still name equal shards.
"""

from collections.abc import Mapping

from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.node import Node
from pipeline.graph.nodes.train import Population
from pipeline.store.store import Store
from pipeline.training.ensemble import Builder
from pipeline.training.time_estimate import estimated_seconds

# What a shard should take; a machine half as fast as the one measured stays far below five minutes.
TARGET_SECONDS = 60.0
# Tables whose largest shard is read for the seconds that it took.
_MOST_READ = 3
# Units of a shard while nothing is known of what one takes.
FIRST_UNITS = 1


class ShardSizes:
    """Knows what units of each kind cost, and learns from each shard that is made."""

    def __init__(self, graph: Graph, store: Store) -> None:
        self._graph, self._store = graph, store
        self._seconds: dict[str, float | None] = {}
        self._cost_keys: dict[str, str | None] = {}
        # Kinds of which this survey records no seconds: their shards are looked at once in each survey.
        self._unrecorded: set[str] = set()
        self._surveyed: Mapping[str, NodeState] | None = None

    def took(self, node: Node, n_units: int, seconds: float) -> None:
        """Take notice that a shard of so many units of a node was made in so many seconds.

        The latest counts.
        """
        key = self._cost_key(node)
        if key is not None:
            self._seconds[key] = seconds / n_units

    def most_units(self, node: Node, states: Mapping[str, NodeState]) -> int:
        """Return the units of a shard of node.

        Its bound, or fewer where so many would take more than about a minute.
        """
        if node.shard_size == 1 or self._cost_key(node) is None:
            return node.shard_size
        seconds = self._seconds_per_unit(node, states)
        if seconds is None and not isinstance(node, Population):
            return FIRST_UNITS
        if not seconds or seconds * node.shard_size <= TARGET_SECONDS:
            return node.shard_size
        return 1 << max(0, int(TARGET_SECONDS / seconds).bit_length() - 1)

    def _cost_key(self, node: Node) -> str | None:
        if node.key not in self._cost_keys:
            self._cost_keys[node.key] = node.cost_key
        return self._cost_keys[node.key]

    def _seconds_per_unit(self, node: Node, states: Mapping[str, NodeState]) -> float | None:
        """Return what a unit takes.

        Of unlearning nobody has measured, what training the models took at most.
        """
        key = str(self._cost_key(node))
        if self._seconds.get(key) is None:
            found = self._recorded_once(key, states)
            if found is None and isinstance(node, Population):
                found = self._estimated(node, key)
            self._seconds[key] = found
        starts = [
            self._graph.nodes[parent.key] for parent in node.parents().values() if parent.mode == "aligned"
        ]
        known = [
            self._seconds[key],
            *(self._seconds_per_unit(start, states) for start in starts if start.trains),
        ]
        return next((seconds for seconds in known if seconds is not None), None)

    def _recorded_once(self, key: str, states: Mapping[str, NodeState]) -> float | None:
        """Return what _recorded returns; None is remembered as long as the survey is the same."""
        if states is not self._surveyed:
            self._surveyed, self._unrecorded = states, set()
        found = None if key in self._unrecorded else self._recorded(key, states)
        if found is None:
            self._unrecorded.add(key)
        return found

    def _recorded(self, key: str, states: Mapping[str, NodeState]) -> float | None:
        """Return the seconds a unit that were recorded beside shards of this kind in the store, None if there are none."""
        alike = [
            state
            for state in states.values()
            if self._cost_key(state.node) == key and state.pieces and state.folder is not None
        ]
        for state in alike[:_MOST_READ]:
            shard = max((piece.shard for piece in state.pieces), key=lambda shard: shard.stop - shard.start)
            seconds = self._store.side(state.table.folder, shard).get("seconds")
            if seconds:
                return float(seconds) / (shard.stop - shard.start)
        return None

    def _estimated(self, node: Population, key: str) -> float | None:
        """Return what timing a few steps here promises, once for each kind."""
        if key in self._seconds:
            return self._seconds[key]
        examples = self._graph.examples
        return estimated_seconds(
            Builder(node.model, examples.input_shape, examples.n_classes), node.recipe, examples
        )
