"""Which nodes make up which child run, and what the children are called: their titles sort in the order of the stages."""

from collections.abc import Mapping

from pipeline.graph import Graph, NodeState
from pipeline.runtime.tracker import PARENT

CHILD_OF_STAGE = {
    "forget": "forget",
    "train": "train",
    "groups": "attribution",
    "factor": "attribution",
    "fit": "attribution",
    "score": "attribution",
    "effect": "attribution",
    "convex": "convex",
    "report": PARENT,
}
# What the datamodel's predictions come to by the number of models, for the page: a verdict on no single method.
FORGET_CURVE = "forget_curve"
TITLES = {"forget": "1 forget sets", "train": "2 models", "attribution": "3 attribution", "convex": "5 convex study"}


def child_of(key: str, stage: str) -> str:
    """Return the child run that shows a node: one for each stage, one for each (unlearner, forget set)."""
    if key == FORGET_CURVE:
        return PARENT
    if stage in CHILD_OF_STAGE:
        return CHILD_OF_STAGE[stage]
    _, name, label = key.split("/", 2)
    return f"{name}/{label}"


def children_of(graph: Graph) -> dict[str, frozenset[str]]:
    """Return the keys of the nodes that each child run shows."""
    found: dict[str, set[str]] = {}
    for key, node in graph.nodes.items():
        found.setdefault(child_of(key, node.stage), set()).add(key)
    return {child: frozenset(keys) for child, keys in found.items()}


def title_of(child: str) -> str:
    """Return what a child run is called: a number that sorts, then the stage, or the forget set and the method."""
    if child in TITLES:
        return TITLES[child]
    name, label = child.split("/", 1)
    return f"4 {label}: {name}"


def tags_of(child: str) -> dict[str, str]:
    """Return the tags by which people filter children: the stage, or the forget set and the method."""
    if child == PARENT:
        return {}
    if child in TITLES:
        return {"dmm.stage": child}
    name, label = child.split("/", 1)
    return {"dmm.stage": "unlearning", "dmm.unlearner": name, "dmm.forget_set": label}


def retrainings_of(states: Mapping[str, NodeState], n_done: Mapping[str, int]) -> float:
    """Return what was trained so far, in models on all points: a model that sees half of them counts half."""
    shares = {key: getattr(states[key].node, "keep_fraction", None) or 1.0 for key in n_done if states[key].node.stage == "train" and states[key].node.trains}
    return float(sum(shares[key] * n_done[key] for key in shares))
