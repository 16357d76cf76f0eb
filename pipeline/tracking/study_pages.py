"""What the studies of an experiment came to."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.nodes.study import StudyNode
from pipeline.store.store import Store
from pipeline.studies.base import Finished


def finished(states: Mapping[str, NodeState], label: str | None = None) -> Finished:
    """Return the finished tables of the study with this label, of all studies without one."""
    found = {}
    for key, state in states.items():
        node = state.node
        if isinstance(node, StudyNode) and state.status == "done" and label in (None, node.run.name):
            found[key] = (node, state.table)
    return found


def study_results(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> dict[str, Any]:
    """Return what each study of an experiment came to, by its label; of one whose code fails, the error."""
    found: dict[str, Any] = {}
    for label, study in graph.experiment.all_studies().items():
        try:
            found[label] = study.results(store, finished(states, label))
        # A guest that fails must not take the results of its host along.
        except PipelineError as error:
            found[label] = {"error": str(error)}
    return found
