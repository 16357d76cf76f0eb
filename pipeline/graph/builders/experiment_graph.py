"""The graph of an experiment, built from its config: all its tables, parents before children."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.config import Experiment
from pipeline.core.errors import ConfigError, InputsNotReadError
from pipeline.core.fingerprint import digest
from pipeline.core.settings.paths import with_absolute_paths
from pipeline.data.examples import Examples
from pipeline.data.inputs import UnreadInputs
from pipeline.graph.builders.attribution_nodes import attribution, forget_curve
from pipeline.graph.builders.file_contents import contents_used
from pipeline.graph.builders.judge_nodes import shared_models
from pipeline.graph.builders.population_nodes import populations
from pipeline.graph.builders.report_node import report_node
from pipeline.graph.builders.study_nodes import studies
from pipeline.graph.builders.unlearning_nodes import oracles, unlearning
from pipeline.graph.graph import Graph
from pipeline.graph.node import Node
from pipeline.graph.nodes.forget import Forget, freeze
from pipeline.results.report_content import ReportRenderer

# Stands for the digest of an experiment if the content of its data is not known, because the command reads no
# inputs.
UNKNOWN = "unknown"


def build_graph(experiment: Experiment, examples: Examples, *, draw_report: ReportRenderer) -> Graph:
    """Return the graph of an experiment; draw_report draws its report.

    If examples hold no inputs, as in `dmm status`, the inputs of other data sets are not read either. Raises
    ConfigError or DataError for every mistake that can be found before anything is computed.
    """
    # Workers run in other folders, so nodes need absolute paths. The config keeps its paths as they were
    # written.
    located = with_absolute_paths(experiment)
    made = list(_nodes(located, examples))
    nodes = {node.key: node for node in (*made, report_node(located, examples, made, draw_report))}
    if len(nodes) <= len(made):
        twice = next(key for key, count in Counter(node.key for node in made).items() if count > 1)
        raise ConfigError(
            f"two tables of this experiment are called {twice!r}; give each node of a study its own "
            "key, such as studies/LABEL/NAME"
        )
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
        yield Forget(
            key=f"forget/{label}",
            forget_set=label,
            **about,
            layout=layout,
            population_key="train/full",
            resources=compute,
        )
    yield from attribution(experiment, examples)
    yield from shared_models(experiment)
    for label in experiment.forget_sets:
        yield from oracles(experiment, label)
        yield from unlearning(experiment, label)
    yield from forget_curve(experiment, examples)
    yield from studies(experiment, reads_inputs=not isinstance(examples.inputs, UnreadInputs))
