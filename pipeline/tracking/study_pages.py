"""The finished tables and the results of the studies of an experiment."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.nodes.study import StudyNode
from pipeline.store.store import Store
from pipeline.studies.base import Finished


def finished(states: Mapping[str, NodeState], label: str | None = None) -> Finished:
    """Return the finished tables of the study with this label, or of all studies if label is None."""
    found = {}
    for key, state in states.items():
        node = state.node
        if isinstance(node, StudyNode) and state.status == "done" and label in (None, node.run.name):
            found[key] = (node, state.table)
    return found


def study_results(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> dict[str, Any]:
    """Return the results of each study by its label, or `{"error": message}` if a study raises an error."""
    found: dict[str, Any] = {}
    for label, study in graph.experiment.all_studies().items():
        try:
            found[label] = study.results(store, finished(states, label))
        # A study that fails must not hide the results of the experiment.
        except PipelineError as error:
            found[label] = {"error": str(error)}
    return found
