"""The tasks that make what is missing of a node."""

from collections.abc import Iterable

from pipeline.config.fidelity import recipe_of
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.work import Task
from pipeline.store.shards import cover, split
from pipeline.store.store import Store


def tasks_of(
    state: NodeState, missing: Iterable[tuple[int, int]], *, graph: Graph, store: Store, mark: str
) -> list[Task]:
    """Return one task for each shard of the missing ranges of a node, at its bound of units.

    Mark is the store's, see Store.claim.

    Shards that are made again keep their ranges, so that they get their old names and what read them stays
    valid: those that were lost, and those that exist without what is now to be kept beside them.
    """
    folder, contents = state.table.folder, graph.contents_of(state.node)
    # Digests of all units are known since the folder was named; those of a part would be found anew.
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
