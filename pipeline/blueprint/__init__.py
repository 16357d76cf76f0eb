"""Which nodes an experiment has: its config drawn as a graph of tables, parents before children."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.blueprint.attribution import attribution, forget_curve
from pipeline.blueprint.contents import contents_used
from pipeline.blueprint.judging import shared_models
from pipeline.blueprint.populations import populations
from pipeline.blueprint.report import report
from pipeline.blueprint.studies import studies
from pipeline.blueprint.unlearning import oracles, unlearning
from pipeline.config import Experiment
from pipeline.core.errors import ConfigError, InputsNotReadError
from pipeline.core.fingerprint import digest
from pipeline.core.setting_paths import with_absolute_paths
from pipeline.data.examples import Examples
from pipeline.data.inputs import UnreadInputs
from pipeline.graph import Graph
from pipeline.stages.forget import Forget, freeze
from pipeline.stages.node import Node

# The digest of an experiment on data whose content is not known, to a command that does not read it.
UNKNOWN = "unknown"


def build_graph(experiment: Experiment, examples: Examples) -> Graph:
    """Return the graph of an experiment. With examples whose inputs are not read, no other inputs are read either.

    Raises ConfigError or DataError for whatever can be found wrong before anything is computed.
    """
    # Workers run in other folders, and the config keeps its paths as they were written.
    located = with_absolute_paths(experiment)
    made = list(_nodes(located, examples))
    nodes = {node.key: node for node in (*made, report(located, examples, made))}
    if len(nodes) <= len(made):
        twice = next(key for key, count in Counter(node.key for node in made).items() if count > 1)
        raise ConfigError(f"two tables of this experiment are called {twice!r}; give each node of a study a key of its own, such as studies/LABEL/NAME")
    try:
        contents = contents_used(located, reads_inputs=not isinstance(examples.inputs, UnreadInputs))
        own_digest = digest([experiment.identity(), contents]) if contents else experiment.digest
    except InputsNotReadError:
        own_digest = UNKNOWN
    return Graph(experiment, examples, nodes, _data_digest(examples), own_digest)


def _data_digest(examples: Examples) -> str | None:
    try:
        return examples.digest
    except InputsNotReadError:
        return None


def _nodes(experiment: Experiment, examples: Examples) -> Iterator[Node]:
    layout, resources = experiment.store.layout, experiment.resources
    compute = resources.compute
    yield from populations(experiment)
    for label, rule in experiment.forget_sets.items():
        about: dict[str, Any] = {"dataset": experiment.dataset, "rule": rule, **freeze(rule, examples)}
        yield Forget(key=f"forget/{label}", forget_set=label, **about, layout=layout, population_key="train/full", resources=compute)
    yield from attribution(experiment, examples)
    yield from shared_models(experiment)
    for label in experiment.forget_sets:
        yield from oracles(experiment, label)
        yield from unlearning(experiment, label)
    yield from forget_curve(experiment, examples)
    yield from studies(experiment, reads_inputs=not isinstance(examples.inputs, UnreadInputs))
