"""The pages of a run in MLflow; the page of a child run is built from the tables of the nodes that it shows.

The version of a page is a digest of these tables; a page is logged again when its version changes.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pipeline.config import BESIDE_IDENTITY
from pipeline.core.fingerprint import digest
from pipeline.core.registry import plugin_name
from pipeline.graph.graph import Graph, NodeState, states_of
from pipeline.graph.node import Node
from pipeline.graph.nodes.attribution import Attribution
from pipeline.graph.nodes.evaluate import VerdictNode
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.nodes.models import Models
from pipeline.graph.nodes.report import ReportPage
from pipeline.graph.nodes.study import StudyNode
from pipeline.graph.nodes.train import CHECKPOINT, read_states
from pipeline.graph.nodes.train_further import TrainFurther
from pipeline.graph.nodes.unlearn import Unlearn
from pipeline.graph.result_rows import bounds_of, results_table
from pipeline.results.tracked import PARENT, DatasetSummary, Results, RunDescription
from pipeline.store.store import Store
from pipeline.tracking.attribution_page import attribution_results
from pipeline.tracking.children import children_of, runs_of
from pipeline.tracking.notes import note_of, parent_note
from pipeline.tracking.result_pages import (
    forget_results,
    manifest,
    report_results,
    results_of,
    summary_results,
    train_results,
    verdict_results,
)
from pipeline.tracking.study_pages import finished
from pipeline.training.ensemble import Builder

if TYPE_CHECKING:
    import torch

# Increment when the content of pages changes: runs that were logged before are then logged again.
REVISION = 5
_WORDS = {
    "RUNNING": "Running",
    "FINISHED": "Finished as far as it was asked for",
    "FAILED": "Some shards failed",
    "KILLED": "Interrupted; it can be resumed",
}
_States = Mapping[str, NodeState]


class Pages:
    """The MLflow pages of one experiment on one store.

    Its methods read the store when they are called, and never write to it.
    """

    def __init__(self, graph: Graph, store: Store) -> None:
        self.graph, self.store = graph, store
        self.children = children_of(graph)
        self.runs = runs_of(graph)
        self.titles = {child: run.title for child, run in self.runs.items()}

    def opening(self) -> RunDescription:
        """Return the description of the run that a tracker needs to begin it."""
        experiment, examples = self.graph.experiment, self.graph.examples
        dataset = DatasetSummary(
            name=plugin_name(experiment.dataset),
            digest=examples.digest,
            n_train=examples.n_train,
            n_validation=examples.n_points - examples.n_train,
            n_classes=examples.n_classes,
            # Only dtype and shape are shown, so no input is read.
            inputs=np.broadcast_to(np.zeros((), examples.inputs.dtype), examples.inputs.shape),
            labels=examples.labels,
        )
        return RunDescription(
            config_digest=self.graph.digest,
            name=experiment.name,
            # MLflow never changes a parameter of a run. So settings that may change between attempts, such as
            # judges, are left out.
            params=experiment.model_dump(mode="json", exclude=set(BESIDE_IDENTITY)),
            config_yaml=experiment.to_yaml(),
            dataset=dataset,
            tags={"dmm.store": self.store.uri},
            titles=self.titles,
        )

    def version(self, child: str, done: _States) -> str:
        """Return the digest of all tables behind the page of a child."""
        return digest(
            [REVISION, sorted(str(done[key].folder) + done[key].table.digest for key in self.children[child])]
        )

    def results(self, child: str, done: _States) -> Results:
        """Return the page of a child whose nodes are all done.

        Raises StoreError if a table cannot be read.
        """
        states = {key: done[key] for key in sorted(self.children[child])}
        found = self._results(child, self.version(child, done), states, done)
        if child == PARENT:
            return found
        run = self.runs[child]
        files = {**found.files, "tables.json": manifest(self.store, states)}
        note = note_of(run, self.graph, self.store, states, found)
        return dataclasses.replace(found, files=files, note=note, tags={**found.tags, **run.all_tags()})

    def finished(self, states: _States) -> list[str]:
        """Return the children whose nodes are all done, in the order of their titles."""
        return [
            child
            for child in self.titles
            if all(states[key].status == "done" for key in self.children[child])
        ]

    def summary(self, states: _States, *, status: str, links: Mapping[str, str]) -> str:
        """Return the note of the parent run; states holds all nodes at the end of a run, none before that."""
        report = next(iter(states_of(states, ReportPage)), None)
        about = self.store.summary(report.table) if report is not None and report.status == "done" else {}
        n_done = sum(state.status == "done" for state in states.values())
        so_far = (
            f"{n_done} of {len(self.graph.nodes)} tables are done"
            if states
            else "curves of what is done, how fast and for how long are under *Model metrics*"
        )
        return parent_note(
            headline=about.get("summary") or f"{_WORDS[status]}: {so_far}",
            table=results_table(
                results_of(self.graph, self.store, states) if states else [],
                bounds=bounds_of(self.graph.experiment.unlearners),
                first_splits=True,
            ),
            verdicts={label: about["headlines"][label] for label in self.graph.experiment.forget_sets}
            if about
            else {},
            links=links,
            store=self.store,
        )

    def model(self, child: str, done: _States) -> "tuple[torch.nn.Module, np.ndarray] | None":
        """Return the first unlearned model that a child run shows, and two inputs to try it on.

        The result is None if the child run shows no method, or if no unlearned model was saved.
        """
        state = next(
            (done[key] for key in self.children[child] if key in done and _unlearns(done[key].node)), None
        )
        if state is None or CHECKPOINT not in self.store.blob_names(
            state.table.folder, state.pieces[0].shard
        ):
            return None
        examples, model = (
            self.graph.examples,
            state.node.model if isinstance(state.node, Unlearn) else self.graph.experiment.model,
        )
        module = Builder(model, examples.input_shape, examples.n_classes)()
        module.load_state_dict(
            {name: value[0] for name, value in read_states(self.store, state.table, 0, 1).items()}
        )
        return module.eval(), examples.inputs_of(np.arange(2))

    def _results(self, child: str, version: str, states: _States, done: _States) -> Results:
        if child == PARENT:
            return report_results(self.graph, self.store, version, done)
        if states_of(states, Models):
            return train_results(self.store, version, states)
        if states_of(states, Forget):
            return forget_results(self.graph, self.store, version, states)
        if states_of(states, Attribution):
            return attribution_results(self.graph, self.store, states, version=version)
        if states_of(states, StudyNode):
            study = self.graph.experiment.all_studies()[child]
            return study.tracked(self.store, finished(states), version=version)
        verdict = next((state.node for state in states.values() if isinstance(state.node, VerdictNode)), None)
        if verdict is not None:
            return verdict_results(self.graph, self.store, version, verdict, done)
        return summary_results(self.store, version, states)


def _unlearns(node: Node) -> bool:
    """Return whether a node holds models as an unlearner made them, not trained further by a judge."""
    return isinstance(node, Unlearn) and not isinstance(node, TrainFurther)
