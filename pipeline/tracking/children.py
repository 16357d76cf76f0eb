"""Which child run of MLflow shows which nodes of the graph; each node names its child run."""

from collections.abc import Mapping

from pipeline.graph.child_run import ChildRun
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.node import Node
from pipeline.results.tracked import PARENT


def child_of(node: Node) -> str:
    """Return the name of the child run that shows a node, PARENT if the parent run shows it."""
    return PARENT if node.child is None else node.child.name


def children_of(graph: Graph) -> dict[str, frozenset[str]]:
    """Return the keys of the nodes that each child run shows, by the name of the child run or PARENT."""
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
    """Return the cost of all training so far in retrainings; a model trained on half the points counts half.

    n_done holds the number of finished units by the key of their node.
    """
    return float(sum(states[key].node.retrainings_per_unit * count for key, count in n_done.items()))
