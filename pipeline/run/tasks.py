"""The tasks that make what is missing of a node."""

from collections.abc import Iterable

from pipeline.graph import Graph, NodeState
from pipeline.runtime.shards import split
from pipeline.runtime.store import Store
from pipeline.stages.work import Task


def tasks_of(state: NodeState, missing: Iterable[tuple[int, int]], *, graph: Graph, store: Store, mark: str) -> list[Task]:
    """Return one task for each shard of the missing ranges of a node, at its bound of units; mark is the store's, see Store.claim."""
    folder, contents = state.table.folder, graph.contents_of(state.node)
    # Digests of all units are known since the folder was named; those of a part would be found anew.
    units = state.node.unit_contents(0, state.node.n_units)
    lost = store.set_aside(folder)
    return [
        Task(
            node=state.node,
            folder=folder,
            start=start,
            stop=stop,
            inputs=state.inputs,
            store_uri=store.uri,
            store_mark=mark,
            recipe=graph.experiment.recipe,
            contents=contents,
            unit_contents=units[start:stop],
            is_remade=(start, stop) in lost,
        )
        for start, stop in split(missing, state.node.shard_size, lost=lost)
    ]
