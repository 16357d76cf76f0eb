"""The child run of MLflow that shows each node; the nodes themselves name it."""

from collections.abc import Mapping

from pipeline.graph.child_run import ChildRun
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.node import Node
from pipeline.results.tracked import PARENT


def child_of(node: Node) -> str:
    """Return the name of the child run that shows a node."""
    return PARENT if node.child is None else node.child.name


def children_of(graph: Graph) -> dict[str, frozenset[str]]:
    """Return the keys of the nodes that each child run shows."""
    found: dict[str, set[str]] = {}
    for key, node in graph.nodes.items():
        found.setdefault(child_of(node), set()).add(key)
    return {child: frozenset(keys) for child, keys in found.items()}


def runs_of(graph: Graph) -> dict[str, ChildRun]:
    """Return the child runs of an experiment by name, in the order of their titles.

    The parent run is not among them.
    """
    found = {node.child.name: node.child for node in graph.nodes.values() if node.child is not None}
    return dict(sorted(found.items(), key=lambda pair: pair[1].title))


def retrainings_of(states: Mapping[str, NodeState], n_done: Mapping[str, int]) -> float:
    """Return the training done so far in retrainings; a model that sees half of the points counts half."""
    return float(sum(states[key].node.retrainings_per_unit * count for key, count in n_done.items()))
