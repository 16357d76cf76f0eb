"""`dmm compare`: finished experiments of one store on one page.

It reads their verdicts, computes nothing, and writes only that page.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from rich.console import Console

from jobs.running.publishing import publish_file
from jobs.session import Session
from pipeline.config import PLACES, Experiment
from pipeline.core.errors import ConfigError, MissingShardsError
from pipeline.core.registry import describe, identity, plugin_name
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import Scores
from pipeline.graph.graph import Graph, NodeState, states_of
from pipeline.graph.nodes.evaluate import FLOOR, VerdictNode, read_judged
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.result_rows import Result
from pipeline.results.comparison_content import ComparedSet, Comparison, Entry, Method
from pipeline.results.formatting import in_use, sentence
from pipeline.results.report_content import role_of
from pipeline.show.comparison.comparison_words import headline
from pipeline.studies import STUDIES
from pipeline.tracking.result_pages import results_of
from pipeline.unlearning.unlearner import Unlearner

# Results by the labels of their forget set and their unlearner.
Found = Mapping[tuple[str, str], Result]

# Settings that do not change a verdict. The page does not list them among the differences.
BESIDE = ("name", "studies", *STUDIES.names())


@dataclass(frozen=True)
class Compared:
    """The content of a comparison, one row for each result, and the location of the page.

    A result is that of one unlearner on one forget set in one experiment.
    """

    content: Comparison
    rows: list[dict[str, Any]]
    page: str

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-ready."""
        differences = [
            dict(zip(("setting", *self.content.names), (key, *values), strict=True))
            for key, values in self.content.differences
        ]
        return {
            "experiments": list(self.content.names),
            "headline": headline(self.content),
            "results": self.rows,
            "differences": differences,
            "page": self.page,
        }


def compare_experiments(
    configs: Sequence[str], open_one: Callable[[str], Session], screen: Console
) -> Compared:
    """Compare experiments of one store, write the page there, and return what it shows.

    open_one opens the experiment of a config. Raises ConfigError unless there are two or more experiments,
    all different, judged alike and with a forget set in common. Raises MissingShardsError if an experiment is
    not finished.
    """
    # Importing Matplotlib takes a second, which other commands should not spend.
    from pipeline.show.comparison.comparison_page import render_comparison

    if len(configs) < 2:
        raise ConfigError(
            f"`dmm compare` needs at least two configs but got {len(configs)}; name them, such as "
            "`dmm compare convex.yaml digits.yaml --store URI`"
        )
    sessions = [open_one(path) for path in configs]
    if len({session.store.uri for session in sessions}) > 1:
        raise ConfigError(
            f"these experiments are in {len({session.store.uri for session in sessions})} different "
            "stores; give the store that holds all of them with --store"
        )
    labels = _check([session.graph for session in sessions], configs)
    surveys = [_finished(session, path, labels) for session, path in zip(sessions, configs, strict=True)]
    found = [
        _by_place(results_of(session.graph, session.store, states))
        for session, states in zip(sessions, surveys, strict=True)
    ]
    content = _content(sessions, surveys, found, labels)
    store = sessions[0].store
    name = f"compare-{'-'.join(content.names)}.html"
    page = publish_file(store, name, render_comparison(content).encode(), screen)
    rows = [
        {"experiment": session.experiment.name, **result.to_json()}
        for label in labels
        for session, results in zip(sessions, found, strict=True)
        for (of, _), result in results.items()
        if of == label
    ]
    return Compared(content, rows, page)


def _check(graphs: Sequence[Graph], configs: Sequence[str]) -> list[str]:
    """Return the labels of the forget sets that all experiments have.

    Raises ConfigError if the experiments cannot be compared.
    """
    for (graph, path), (other_graph, other_path) in combinations(zip(graphs, configs, strict=True), 2):
        one, other = graph.experiment, other_graph.experiment
        if graph.digest == other_graph.digest:
            raise ConfigError(
                f"{path} and {other_path} describe the same experiment, {one.name}; give two different ones"
            )
        if one.name == other.name:
            raise ConfigError(
                f"{path} and {other_path} both have the name {one.name!r}; give one of them another "
                "`name`, so that the page can tell them apart"
            )
        _check_judged_alike(one, other)
    experiments = [graph.experiment for graph in graphs]
    labels = [
        label for label in experiments[0].forget_sets if all(label in one.forget_sets for one in experiments)
    ]
    if not labels:
        known = "; ".join(f"{one.name} has {', '.join(one.forget_sets)}" for one in experiments)
        raise ConfigError(
            f"these experiments have no forget set label in common: {known}; give the same label to "
            "the forget sets that you want to compare"
        )
    return labels


def _check_judged_alike(one: Experiment, other: Experiment) -> None:
    """Raise ConfigError unless the first judges of two experiments are the same, with the same settings."""
    (label, judge), (other_label, other_judge) = (
        next(iter(one.judges.items())),
        next(iter(other.judges.items())),
    )
    if label == other_label and identity(judge) == identity(other_judge):
        return
    if label == other_label:
        differences = _differing([_flat(describe(each)) for each in (judge, other_judge)])
        said = "; ".join(f"judges.{label}.{key} {' and '.join(values)}" for key, values in differences)
    else:
        said = f"the first judge is {label} in one and {other_label} in the other"
    raise ConfigError(
        f"{one.name} and {other.name} use different judge settings ({said}); scores are "
        "comparable only with equal settings, so make these equal"
    )


def _judges(experiments: Sequence[Experiment]) -> dict[str, Judge]:
    """Return the judges that all experiments share with equal settings, the headline judge first."""
    first, *others = (experiment.judges for experiment in experiments)
    return {
        label: judge
        for label, judge in first.items()
        if all(label in each and identity(each[label]) == identity(judge) for each in others)
    }


def _finished(session: Session, path: str, labels: Sequence[str]) -> Mapping[str, NodeState]:
    """Return the states of all nodes of an experiment.

    labels names the forget sets to compare. Raises MissingShardsError unless their points and every verdict
    on them are computed. path, the config, is only for the message.
    """
    experiment, states = session.experiment, session.graph.survey(session.store)
    needed = [
        state
        for kind in (Forget, VerdictNode)
        for state in states_of(states, kind)
        if state.node.forget_set in labels
    ]
    missing = [state for state in needed if state.status != "done"]
    if missing:
        first = f"{missing[0].node.key}, {missing[0].status}"
        raise MissingShardsError(
            f"{experiment.name} is not finished in {session.store.uri}: {len(missing)} of "
            f"{len(needed)} tables that a comparison reads are missing (first: {first}); run `dmm "
            f"run {shlex.quote(path)} --store {shlex.quote(session.store.uri)}`, then compare again"
        )
    return states


def _by_place(results: Sequence[Result]) -> Found:
    return {(result.forget_set, result.unlearner): result for result in results}


def _content(
    sessions: Sequence[Session],
    surveys: Sequence[Mapping[str, NodeState]],
    found: Sequence[Found],
    labels: Sequence[str],
) -> Comparison:
    experiments = [session.experiment for session in sessions]
    judges = _judges(experiments)
    return Comparison(
        names=tuple(experiment.name for experiment in experiments),
        models=tuple(
            sentence(in_use(describe(experiment.model), identity(experiment.model)))
            for experiment in experiments
        ),
        n_models=tuple(next(iter(results.values())).n_models for results in found),
        judges=judges,
        judged="; ".join(sentence(describe(judge)) for judge in judges.values()),
        sets=tuple(_set(sessions, surveys, found, label, judges) for label in labels),
        differences=_differing(
            [
                _flat(experiment.model_dump(mode="json", exclude={*PLACES, *BESIDE}))
                for experiment in experiments
            ]
        ),
    )


def _set(
    sessions: Sequence[Session],
    surveys: Sequence[Mapping[str, NodeState]],
    found: Sequence[Found],
    label: str,
    judges: Mapping[str, Judge],
) -> ComparedSet:
    forget = [states_of(states, Forget, forget_set=label)[0] for states in surveys]
    ids = [session.store.read(state.table)["index"] for session, state in zip(sessions, forget, strict=True)]
    is_same_data = len({session.graph.data_digest for session in sessions}) == 1
    unlearners = [session.experiment.unlearners for session in sessions]
    names = dict.fromkeys(name for each in unlearners for name in each)
    methods = []
    for name in names:
        unlearner = next(each[name] for each in unlearners if name in each)
        entries = tuple(
            _entry(each, results.get((label, name)), name, judges)
            for each, results in zip(unlearners, found, strict=True)
        )
        methods.append(
            Method(
                label=name,
                role=role_of(unlearner.needs, moves_weights=unlearner.moves_weights),
                entries=entries,
            )
        )
    return ComparedSet(
        label=label,
        same_points=is_same_data and all(np.array_equal(one, ids[0]) for one in ids),
        n_points=tuple(len(one) for one in ids),
        floor=tuple(
            _floor(session, states, label, judges) for session, states in zip(sessions, surveys, strict=True)
        ),
        methods=tuple(methods),
    )


def _floor(
    session: Session, states: Mapping[str, NodeState], label: str, judges: Mapping[str, Judge]
) -> dict[str, Scores]:
    """Return, by the label of each judge, the scores that it gives to a second group of oracles."""
    found = {
        node.judge_label: read_judged(session.store, state.table).scores
        for state in states.values()
        if isinstance(node := state.node, VerdictNode) and node.method == FLOOR and node.forget_set == label
    }
    return {judge: found[judge] for judge in judges}


def _entry(
    unlearners: Mapping[str, Unlearner], result: Result | None, name: str, judges: Mapping[str, Judge]
) -> Entry | None:
    """Return the scores and the cost of the method called name in one experiment.

    The result is None if the experiment has no such method, or if the first judge gives it no score.
    """
    if result is None or next(iter(judges)) not in result.scores:
        return None
    return Entry(
        plugin=plugin_name(unlearners[name]),
        scores={judge: result.scores[judge] for judge in judges if judge in result.scores},
        fraction=result.cost.fraction,
        amortised_fraction=result.cost.amortised_fraction,
    )


def _flat(tree: Any, place: str = "") -> dict[str, Any]:
    """Return the settings of a nested mapping by their full keys, such as `populations.subset.n_models`.

    place is the key of tree itself.
    """
    if not isinstance(tree, Mapping) or not tree:
        return {place: tree}
    return {
        key: value
        for name, below in tree.items()
        for key, value in _flat(below, f"{place}.{name}" if place else str(name)).items()
    }


def _differing(trees: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    keys = sorted({key for tree in trees for key in tree})
    values = {key: tuple(_said(tree[key]) if key in tree else "–" for tree in trees) for key in keys}
    return tuple((key, said) for key, said in values.items() if len(set(said)) > 1)


def _said(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
