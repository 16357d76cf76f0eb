"""The nodes that a run covers: everything up to a stage, or single nodes with their dependencies."""

from collections.abc import Iterable

from pipeline.graph.graph import Graph
from pipeline.graph.node_kinds import check_stage, entries, stages


def wanted_keys(graph: Graph, until: str | None) -> frozenset[str]:
    """Return the keys of the nodes of all stages up to and including until, and of their dependencies.

    If until is None, all nodes are returned. Raises ConfigError on an unknown stage.
    """
    if until is None:
        return frozenset(graph.nodes)
    check_stage(until)
    reached = stages()[: stages().index(until) + 1]
    return with_dependencies(graph, {key for key, node in graph.nodes.items() if node.stage in reached})


def wanted_until(graph: Graph, name: str) -> frozenset[str]:
    """Return the keys of the nodes that a run up to name computes.

    name is a stage of the command line (train, fit, unlearn, evaluate, studies or report), a kind of table
    (such as factor or score), or the key of one table. A run up to a stage or a kind computes all nodes that
    come no later, and a run up to a table only this table; their dependencies are added. Raises ConfigError
    if there is no such stage, kind or table.
    """
    if name in entries():
        return wanted_keys(graph, entries()[name][-1])
    if name in graph.nodes and name not in stages():
        return with_dependencies(graph, {name})
    return wanted_keys(graph, name)


def with_dependencies(graph: Graph, keys: Iterable[str]) -> frozenset[str]:
    """Return keys and the keys of all nodes that must exist before these nodes can be computed."""
    wanted = set(keys)
    for key in reversed(list(graph.nodes)):
        if key in wanted:
            wanted |= {parent.key for parent in graph.nodes[key].parents().values()}
    return frozenset(wanted)
