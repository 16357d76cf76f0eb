"""What MLflow shows of a run: which nodes make up which child run, and what each of those logs. The store is the truth; this only mirrors it."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.accounts import spending_of
from pipeline.attribution_view import FORGET_CURVE, attribution_results, forget_curves
from pipeline.config import PLACES, Experiment
from pipeline.core.errors import TrackingError
from pipeline.core.fingerprint import digest
from pipeline.core.registry import describe, plugin_name
from pipeline.data.examples import Examples
from pipeline.graph import Graph, NodeState
from pipeline.run import Listener, Progress
from pipeline.runtime.store import Store
from pipeline.runtime.tracker import PARENT, DatasetSummary, NoTracker, Results, Status, Tracker
from pipeline.runtime.tracking import open_tracker
from pipeline.stages.evaluate import SPLITS
from pipeline.stages.report import PAGE
from pipeline.stages.results import result_row
from pipeline.stages.train import CHECKPOINT, read_states
from pipeline.training.ensemble import Builder

PROGRESS_SECONDS = 3.0
CHILD_OF_STAGE = {
    "forget": "forget",
    "train": "train",
    "groups": "attribution",
    "factor": "attribution",
    "fit": "attribution",
    "score": "attribution",
    "effect": "attribution",
    "report": PARENT,
}


def child_of(key: str, stage: str) -> str:
    """Return the child run that shows a node: one for each stage, one for each (unlearner, forget set)."""
    if key == FORGET_CURVE:
        return PARENT  # the verdict on the datamodel, shown when the page is
    if stage in CHILD_OF_STAGE:
        return CHILD_OF_STAGE[stage]
    _, name, label = key.split("/", 2)
    return f"{name}/{label}"


def result_rows(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> list[dict[str, Any]]:
    """Return one row for each (unlearner, forget set) that was judged, in the order of the config."""
    spending = spending_of(graph.experiment, graph.examples)
    rows = []
    for label in graph.experiment.forget_sets:
        floor = states[f"evaluate/floor/{label}"]
        for name, unlearner in graph.experiment.unlearners.items():
            verdict = states[f"evaluate/{name}/{label}"]
            if verdict.status == "done" and floor.status == "done":
                about, beside = store.summary(verdict.table), store.summary(floor.table)
                rows.append(result_row(label=name, unlearner=unlearner, forget_set=label, verdict=about, floor=beside, spending=spending))
    return rows


class TrackingListener(Listener):
    """Mirrors a run into a tracker; if tracking fails, it says so once and the run goes on: the next one catches up."""

    def __init__(self, tracker: Tracker, graph: Graph, store: Store, warn: Callable[[str], None]) -> None:
        self._tracker, self._graph, self._store, self._warn = tracker, graph, store, warn
        self._next = 0.0
        self._done: dict[str, NodeState] = {}
        self._children: dict[str, set[str]] = {}
        for key, node in graph.nodes.items():
            self._children.setdefault(child_of(key, node.stage), set()).add(key)
        self.run_id = ""
        with self._mirroring():
            self.run_id = self._begin(graph.experiment, graph.examples)

    def changed(self, progress: Progress) -> None:
        """See Listener."""
        if time.monotonic() < self._next or not self._tracker.enabled:
            return
        self._next = time.monotonic() + PROGRESS_SECONDS
        wanted = [key for key in progress.wanted if progress.states[key].node.stage == "train"]
        models = sum(progress.n_done(key) for key in wanted)
        left = progress.remaining_models()
        rate = progress.n_models_made / max(progress.seconds, 1e-9)
        metrics = {"models_done": models, "models_left": left, "models_per_second": rate, "shards_failed": len(progress.failures)}
        with self._mirroring():
            self._tracker.progress("train", metrics | ({"eta_seconds": left / rate} if rate else {}), step=models)

    def node_done(self, state: NodeState, progress: Progress) -> None:
        """See Listener."""
        self._done[state.node.key] = state
        child = child_of(state.node.key, state.node.stage)
        if not self._tracker.enabled or not self._children[child] <= set(self._done):
            return
        version = digest(sorted(str(self._done[key].folder) + self._done[key].table.digest for key in self._children[child]))
        with self._mirroring():
            if self._tracker.logged_version(child) != version:
                self._log(child, version)

    def end(self, status: Status, progress: Progress) -> None:
        """End the parent run, children with failed shards as failed."""
        with self._mirroring():
            for failure in progress.failures:
                self._tracker.fail(child_of(failure.key, progress.states[failure.key].node.stage), failure.error)
            self._tracker.end(status)

    def _begin(self, experiment: Experiment, examples: Examples) -> str:
        dataset = DatasetSummary(
            name=plugin_name(experiment.dataset),
            digest=examples.digest,
            n_train=examples.n_train,
            n_validation=examples.n_points - examples.n_train,
            n_classes=examples.n_classes,
            inputs=examples.inputs,
            labels=examples.labels,
        )
        return self._tracker.begin(
            config_digest=experiment.digest,
            name=experiment.name,
            params=experiment.model_dump(mode="json", exclude=set(PLACES)),
            config_yaml=experiment.to_yaml(),
            dataset=dataset,
            tags={"dmm.store": self._store.uri},
        )

    def _log(self, child: str, version: str) -> None:
        states = {key: self._done[key] for key in sorted(self._children[child])}
        if child == PARENT:
            results = self._report(version, states["report"])
        elif child == "train":
            results = self._train(version, states)
        elif child == "forget":
            results = self._forget(version, states)
        elif child == "attribution":
            results = attribution_results(self._graph, self._store, states, version=version, manifest=self._manifest(states))
        else:
            results = self._verdict(child, version, states)
            self._log_model(child, states)
        self._tracker.log(child, results)

    def _forget(self, version: str, states: Mapping[str, NodeState]) -> Results:
        labels = self._graph.examples.labels
        tables = {}
        for key, state in states.items():
            ids = self._store.read(state.table)["index"]
            tables[key.removeprefix("forget/")] = [{"id": int(index), "label": int(labels[index])} for index in ids]
        metrics = {f"n_points/{label}": float(len(rows)) for label, rows in tables.items()}
        return Results(version=version, metrics=metrics, tables=tables, files={"tables.json": self._manifest(states)})

    def _train(self, version: str, states: Mapping[str, NodeState]) -> Results:
        rows = []
        for key, state in states.items():
            if "accuracy_validation" not in self._store.columns(state.table):
                continue  # models trained elsewhere that left margins only
            accuracy = self._store.read(state.table, ["accuracy_validation"])["accuracy_validation"]
            rows.append(
                {
                    "population": key.removeprefix("train/"),
                    "models": state.n_done,
                    "validation_accuracy_mean": float(accuracy.mean()),
                    "validation_accuracy_min": float(accuracy.min()),
                    "core_seconds": round(sum(self._store.side(state.table.folder, piece.shard).get("seconds", 0.0) for piece in state.pieces), 2),
                }
            )
        metrics = {f"validation_accuracy/{row['population']}": row["validation_accuracy_mean"] for row in rows}
        metrics |= {"models": float(sum(row["models"] for row in rows)), "core_seconds": float(sum(row["core_seconds"] for row in rows))}
        return Results(version=version, metrics=metrics, tables={"populations": rows}, files={"tables.json": self._manifest(states)})

    def _verdict(self, child: str, version: str, states: Mapping[str, NodeState]) -> Results:
        name, label = child.split("/", 1)
        state = states[f"evaluate/{child}"]
        about, klom = self._store.summary(state.table), self._store.read(state.table)["klom"]
        metrics = {f"{statistic}_klom_{split}": about[statistic][split] for statistic in ("p95", "mean") for split in SPLITS}
        metrics |= {f"accuracy_{split}": about["accuracy"][split] for split in SPLITS}
        metrics |= {"nonfinite_margins": about["n_nonfinite"], "cost_samples": about["samples"]}
        params: dict[str, Any] = {"forget_set": label}
        if name in self._graph.experiment.unlearners:
            params |= {"unlearner": describe(self._graph.experiment.unlearners[name])}
            metrics["cost_fraction"] = spending_of(self._graph.experiment, self._graph.examples).fraction(about["samples"])
        ids = self._store.read(self._done[f"forget/{label}"].table)["index"]
        points = [{"id": int(index), "klom": float(klom[index])} for index in ids[np.argsort(-klom[ids])]]
        return Results(version=version, params=params, metrics=metrics, tables={"forget_points": points}, files={"tables.json": self._manifest(states)})

    def _report(self, version: str, state: NodeState) -> Results:
        rows = result_rows(self._graph, self._store, self._done)
        metrics = {f"p95_klom_{split}/{row['forget_set']}/{row['unlearner']}": row[split] for row in rows for split in SPLITS}
        flat = [{**{name: row[name] for name in ("unlearner", "forget_set", *SPLITS)}, **row["cost"]} for row in rows]
        shard, folder = state.pieces[0].shard, state.table.folder
        figures = {
            name.removesuffix(".png"): self._store.read_blob(folder, shard, name) for name in self._store.blob_names(folder, shard) if name.endswith(".png")
        }
        page = self._store.read_blob(folder, shard, PAGE)
        curves = forget_curves(self._graph, self._store, self._done)
        return Results(version=version, metrics=metrics, curves=curves, tables={"results": flat}, figures=figures, files={"report.html": page})

    def _log_model(self, child: str, states: Mapping[str, NodeState]) -> None:
        """Log the first unlearned model of each method that moves weights, if it was saved."""
        state = states.get(f"unlearn/{child}")
        if state is None or CHECKPOINT not in self._store.blob_names(state.table.folder, state.pieces[0].shard):
            return
        experiment, examples = self._graph.experiment, self._graph.examples
        module = Builder(experiment.model, examples.input_shape, examples.n_classes)()
        module.load_state_dict({name: value[0] for name, value in read_states(self._store, state.table, 0, 1).items()})
        self._tracker.log_model(child, name=child.replace("/", "-"), module=module.eval(), input_example=examples.inputs[:2])

    def _manifest(self, states: Mapping[str, NodeState]) -> bytes:
        """Return where the tables behind a child run are: the store keeps them, MLflow points to them."""
        tables = {key: {"uri": f"{self._store.uri}/{state.folder}", "digest": state.table.digest} for key, state in states.items()}
        return json.dumps(tables, indent=1).encode()

    @contextlib.contextmanager
    def _mirroring(self) -> Iterator[None]:
        try:
            yield
        except TrackingError as error:
            self._tracker = NoTracker()
            self._warn(f"tracking stops here, the run goes on: {error}")


def open_view(graph: Graph, store: Store, *, warn: Callable[[str], None]) -> TrackingListener:
    """Return the listener that mirrors a run into MLflow, or into nothing where tracking is off or cannot be reached."""
    tracking = graph.experiment.tracking
    tracker: Tracker
    try:
        tracker = open_tracker(
            tracking.uri,
            store_root=Path(store.uri),
            experiment=tracking.experiment,
            max_artifact_mb=tracking.max_artifact_mb,
        )
    except TrackingError as error:
        warn(f"tracking is off for this run: {error}")
        tracker = NoTracker()
    return TrackingListener(tracker, graph, store, warn)
