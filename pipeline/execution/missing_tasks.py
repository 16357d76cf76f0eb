"""The tasks that compute the missing units of a node.

A node is one table of the graph. A unit is one member of the table, such as one trained model.
"""

from collections.abc import Iterable

from pipeline.config.proxies import recipe_of
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.shard_task import Task
from pipeline.store.shards import cover, split
from pipeline.store.store import Store


def tasks_of(
    state: NodeState, missing: Iterable[tuple[int, int]], *, graph: Graph, store: Store, mark: str
) -> list[Task]:
    """Return the tasks that compute the missing ranges of units of a node, one task for each shard.

    A shard has at most node.shard_size units. mark identifies the store, see Store.claim. Two kinds of shards
    are computed again with their old ranges: shards that were moved to quarantine, and shards without a file
    that must now lie beside them. They get their old names, so results computed from them stay valid.
    """
    folder, contents = state.table.folder, graph.contents_of(state.node)
    # The digests of all units are cached, because the name of the folder depends on them. The digests of a
    # smaller range would be computed again.
    units = state.node.unit_contents(0, state.node.n_units)
    lost = store.set_aside(folder)
    if state.node.keeping is not None:
        lost += [
            (piece.shard.start, piece.shard.stop) for piece in cover(store.shards(folder), state.node.n_units)
        ]
    role, experiment = state.node.model_role, graph.experiment
    recipe = experiment.recipe if role is None else recipe_of(experiment, role)
    return [
        Task(
            node=state.node,
            folder=folder,
            start=start,
            stop=stop,
            inputs=state.inputs,
            store_uri=store.uri,
            store_mark=mark,
            recipe=recipe,
            contents=contents,
            unit_contents=units[start:stop],
            is_remade=(start, stop) in lost,
        )
        for start, stop in split(missing, state.node.shard_size, lost=lost)
    ]
