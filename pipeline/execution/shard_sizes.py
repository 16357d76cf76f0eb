"""The number of units in a shard, chosen from measured seconds so that a shard takes about a minute.

The name of a table does not depend on sizes, and existing shards of other sizes are used as they are. If
nothing was measured yet, a few training steps of one model are timed first. Work that cannot be timed like
this, such as unlearning from the models of a source, begins with shards of one unit, which are then measured.
A size is the user's bound or a smaller power of two, so runs that measure slightly different seconds still
cut equal shards.
"""

from collections.abc import Mapping

from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.node import Node
from pipeline.graph.nodes.train import Population
from pipeline.store.store import Store
from pipeline.training.ensemble import Builder
from pipeline.training.time_estimate import estimated_seconds

# The target duration of a shard. On a machine half as fast as the measured one, a shard takes two minutes.
TARGET_SECONDS = 60.0
# The side files of at most so many tables are read to learn how long a unit of similar work took.
_MOST_READ = 3
# Units of a shard while the seconds of a unit are unknown.
FIRST_UNITS = 1


class ShardSizes:
    """Chooses the number of units in a shard from the seconds that one unit takes.

    Tables with the same cost key (see Node.cost_key) share these seconds. Each finished shard updates them.
    """

    def __init__(self, graph: Graph, store: Store) -> None:
        self._graph, self._store = graph, store
        self._seconds: dict[str, float | None] = {}
        self._cost_keys: dict[str, str | None] = {}
        # Cost keys for which the current survey found no recorded seconds. They are not looked up again until
        # the next survey.
        self._unrecorded: set[str] = set()
        self._surveyed: Mapping[str, NodeState] | None = None

    def took(self, node: Node, n_units: int, seconds: float) -> None:
        """Record that a shard of n_units units of a node took so many seconds; the latest shard counts."""
        key = self._cost_key(node)
        if key is not None:
            self._seconds[key] = seconds / n_units

    def most_units(self, node: Node, states: Mapping[str, NodeState]) -> int:
        """Return the largest number of units for a shard of node.

        It is node.shard_size, or fewer units if such a shard would take more than about a minute.
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
        """Return the seconds of one unit of a node, or None if they are unknown.

        Unlearning takes at most as long as training the models that it starts from. If it was not measured
        yet, the seconds of this training are used.
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
        """Return the result of _recorded; a result of None is kept until the next survey."""
        if states is not self._surveyed:
            self._surveyed, self._unrecorded = states, set()
        found = None if key in self._unrecorded else self._recorded(key, states)
        if found is None:
            self._unrecorded.add(key)
        return found

    def _recorded(self, key: str, states: Mapping[str, NodeState]) -> float | None:
        """Return the seconds of one unit, from the side file of a shard with this cost key, or None."""
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
        """Return the seconds of one unit, estimated from a few training steps once for each cost key."""
        if key in self._seconds:
            return self._seconds[key]
        examples = self._graph.examples
        return estimated_seconds(
            Builder(node.model, examples.input_shape, examples.n_classes), node.recipe, examples
        )
