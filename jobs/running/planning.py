"""What `dmm plan` shows before compute is spent: the missing work and its cost."""

import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from jobs.running.node_rows import about
from jobs.running.older_identity import older_identity_notice
from jobs.session import Session
from pipeline.config import Experiment
from pipeline.config.proxies import proxy_words
from pipeline.core.registry import plugin_name
from pipeline.graph.builders.judge_nodes import judged_at_the_end_alone, not_judged
from pipeline.graph.costs import SUBSETS, spending_of
from pipeline.graph.graph import NodeState, states_of
from pipeline.graph.node import Node, Resources
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.nodes.imported import Imported
from pipeline.graph.nodes.train import Population
from pipeline.graph.nodes.unlearn import Unlearn
from pipeline.store.shards import cover
from pipeline.training.feed_choice import choose_feed
from pipeline.training.input_scale import scale_notice

# Number of ids of a forget set that are shown, so a misread request is noticed before training.
FIRST_IDS = 8
# At most this many finished shards of a node are read to estimate the seconds of its missing shards.
MOST_TIMED = 50


def planned_work(session: Session) -> dict[str, Any]:
    """Return what exists, what a run will train, and its cost.

    The cost is in retrainings. It is also in core seconds for nodes that have finished shards to estimate
    from.
    """
    states = session.graph.survey(session.store)
    rows: list[dict[str, Any]] = []
    total = 0.0
    for state in states.values():
        todo = state.node.n_units - state.n_done
        cost = todo * state.node.retrainings_per_unit
        total += cost
        progress = {"done": state.n_done, "wanted": state.node.n_units}
        note = population_note(session.experiment, state.node)
        rows.append(
            about(state)
            | progress
            | {"retrainings": round(cost, 2), "seconds": _estimate(session, state, todo), "note": note}
        )
    spending = spending_of(session.experiment, session.examples)
    effects = any("effect" in unlearner.needs for unlearner in session.experiment.unlearners.values())
    return {
        "store": session.store.uri,
        "feeds": {
            stage: _feed(session, getattr(session.experiment.resources, stage))
            for stage in ("train", "unlearn")
        },
        "notices": [notice for notice in _notices(session, states) if notice is not None],
        "nodes": rows,
        "forget_sets": {
            str(state.node.forget_set): _forget_set(session, state) for state in states_of(states, Forget)
        },
        "retrainings": round(total, 2),
        "models_to_unlearn": sum(state.node.n_units - state.n_done for state in states_of(states, Unlearn)),
        "core_seconds": round(sum(row["seconds"] or 0.0 for row in rows), 1),
        "break_even_requests": spending.datamodel if effects else None,
        "proxies": list(spending.proxies) if effects else [],
        "requests": spending.n_requests,
        "focused_retrainings": spending.focused,
        "models_in_request": spending.n_models,
        "break_even_with_focused": spending.break_even(spending.n_models) if spending.focused else None,
    }


def _feed(session: Session, resources: Resources) -> dict[str, str]:
    """Return how inputs reach the device of a task with these resources, and why.

    `open` means that this machine cannot tell.
    """
    if resources.num_gpus and not torch.cuda.is_available():
        return {"feed": "open", "reason": "chosen by the memory of the GPU on the machine that has it"}
    choice = choose_feed(session.examples.inputs, "cuda:0" if resources.num_gpus else "cpu", resources.grant)
    return {"feed": choice.kind, "reason": choice.reason}


def _notices(session: Session, states: Mapping[str, NodeState]) -> Iterator[str | None]:
    yield scale_notice(session.examples)
    used = {state.folder for state in states.values() if state.folder is not None}
    yield older_identity_notice(session.graph, session.store, used)
    yield from not_judged(session.experiment)
    yield from judged_at_the_end_alone(session.experiment)
    for state in states.values():
        yield _without_weights(session, state)


def population_note(experiment: Experiment, node: Node) -> str:
    """Return in words how a population differs from the full models: a cheaper proxy, or trained elsewhere.

    The text is empty if it does not differ.
    """
    if isinstance(node, Imported):
        return f"from {plugin_name(node.records)}, not trained here"
    return proxy_words(experiment, node.role) if isinstance(node, Population) else ""


def _without_weights(session: Session, state: NodeState) -> str | None:
    """Return a sentence on models that exist but are computed again to keep their weights.

    The result is None if there are no such models.
    """
    if state.node.keeping is None or state.folder is None or not state.missing:
        return None
    there = cover(session.store.shards(state.folder), state.node.n_units)
    n_models = sum(piece.stop - piece.start for piece in there) - state.n_done
    if n_models <= 0:
        return None
    again = "unlearned" if isinstance(state.node, Unlearn) else "trained"
    exist = (
        "1 model exists without its weights and is"
        if n_models == 1
        else f"{n_models:,} models exist without their weights and are"
    )
    return f"{state.node.key}: {exist} {again} again to keep them; outputs stay the same"


def _forget_set(session: Session, state: NodeState) -> dict[str, Any] | None:
    """Return the number of points of a forget set and its first ids.

    The result is None if the points are chosen by models that are not trained yet.
    """
    ids = session.graph.forget_ids(session.store, state)
    return None if ids is None else {"n_points": len(ids), "first_ids": ids[:FIRST_IDS].tolist()}


def models_to_train(states: Mapping[str, NodeState], keys: Iterable[str]) -> str:
    """Return in words how many models of the nodes called keys are still to train.

    If some of the subset models exist, the text adds how to use only those.
    """
    left = [states[key] for key in keys if isinstance(states[key].node, Population) and states[key].missing]
    n_models = sum(state.node.n_units - state.n_done for state in left)
    said = f"{n_models:,} models to train"
    if any(
        state.pieces and isinstance(state.node, Population) and state.node.role in SUBSETS for state in left
    ):
        return (
            f"{said}; if `dmm run --until-enough` used fewer, add the --set that it printed to use only those"
        )
    return said


def _estimate(session: Session, state: NodeState, todo: int) -> float | None:
    """Return the core seconds that the missing units will take, from the times of finished shards.

    The result is None if no shard was timed.
    """
    if state.folder is None or not todo or not state.pieces:
        return 0.0 if not todo else None
    # A few shards are enough. Each is a file to read, or a request to an object store.
    some = state.pieces[:: len(state.pieces) // MOST_TIMED + 1]
    timed = [
        (session.store.side(state.folder, piece.shard).get("seconds"), piece.shard.stop - piece.shard.start)
        for piece in some
    ]
    each = [seconds / units for seconds, units in timed if seconds]
    return round(statistics.median(each) * todo, 1) if each else None
