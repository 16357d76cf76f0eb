"""The tracker that writes to MLflow.

It calls MlflowClient with explicit run ids, so that no global state of MLflow, such as the active run,
changes.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric
from typing_extensions import override

from pipeline.core.hidden_passwords import masked
from pipeline.core.long_waits import announced
from pipeline.core.settings.tracking_address import is_in_store
from pipeline.results.tracked import PARENT, Point, Results, RunDescription
from pipeline.tracking.mlflow.artifacts import write_artifacts
from pipeline.tracking.mlflow.boundary import Boundary
from pipeline.tracking.mlflow.database import create_database
from pipeline.tracking.mlflow.entities import (
    DROPPED_TAG,
    MAX_BATCH,
    NOTE_TAG,
    context_tags,
    flatten,
    metric_entities,
    param_entities,
    result_tags,
    tag_entities,
)
from pipeline.tracking.mlflow.machine import MachineMonitor
from pipeline.tracking.mlflow.models import log_model
from pipeline.tracking.mlflow.run_lookup import (
    ATTEMPT_TAG,
    CONFIG_TAG,
    MODEL_TAG,
    NODE_TAG,
    PARENT_TAG,
    REASON_TAG,
    VERSION_TAG,
    KnownRun,
    describe_run,
    find_children,
    find_or_create_experiment,
    find_parent,
)
from pipeline.tracking.tracker import Status, Tracker

if TYPE_CHECKING:
    import torch


class MlflowTracker(Tracker):
    """Shows a run in MLflow.

    No server or database is contacted before `begin`.
    """

    enabled: ClassVar[bool] = True

    def __init__(
        self, uri: str, *, experiment: str, artifact_root: Path, max_artifact_mb: float, system_metrics: bool
    ) -> None:
        self._uri, self._experiment, self._artifact_root = uri, experiment, artifact_root
        self._max_bytes = int(max_artifact_mb * 2**20)
        self._machine = MachineMonitor(uri, is_wanted=system_metrics)
        self._experiment_id, self._parent_id, self._has_begun = "", "", False
        self._context: dict[str, str] = {}
        self._titles: Mapping[str, str] = {}
        self._last: dict[str, float] = {}
        self._runs: dict[str, KnownRun] = {}
        self._boundary = Boundary(uri)
        self._client: MlflowClient

    @override
    def begin(self, about: RunDescription) -> str:
        with self._boundary, self._announced():
            create_database(self._uri)
            self._client, self._titles = MlflowClient(self._uri), about.titles
            # A tracking server decides where it keeps artifacts.
            root = self._artifact_root if is_in_store(self._uri) else None
            self._experiment_id = find_or_create_experiment(self._client, self._experiment, root)
            parent = find_parent(self._client, self._experiment_id, about.config_digest)
            if parent is None:
                parent = self._client.create_run(
                    self._experiment_id, run_name=about.name, tags={CONFIG_TAG: about.config_digest}
                )
            self._parent_id = parent.info.run_id
            # The attempt is counted only after the run is described. So if the process is killed before that,
            # the next attempt describes the run again.
            n_attempts = int(parent.data.tags.get(ATTEMPT_TAG, 0))
            if n_attempts == 0:
                describe_run(self._client, self._parent_id, about)
            self._context = context_tags()
            counted = {} if self._has_begun else {ATTEMPT_TAG: str(n_attempts + 1)}
            self._client.log_batch(
                self._parent_id, tags=tag_entities({**self._context, **about.tags, **counted})
            )
            self._client.update_run(self._parent_id, status="RUNNING")
            self._last = self._last if self._has_begun else dict(parent.data.metrics)
            self._has_begun = True
            self._runs = dict(find_children(self._client, self._experiment_id, self._parent_id))
            self._runs[PARENT] = KnownRun.of(parent)
            self._runs[PARENT].status = "RUNNING"
            self._forget(self._runs[PARENT], REASON_TAG)
            self._machine.start(self._parent_id, resume=True)
        return self._parent_id

    def _announced(self) -> AbstractContextManager[None]:
        """Warn after a few seconds if a server is silent; a request fails only after half a minute.

        An SQLite database is a file, so there is no server to wait for.
        """
        if self._uri.startswith("sqlite"):
            return nullcontext()
        return announced(f"MLflow at {masked(self._uri)} has not answered yet; the run continues")

    @override
    def last(self, metric: str) -> float:
        return self._last.get(metric, 0.0)

    @override
    def progress(self, child: str, points: Sequence[Point]) -> None:
        with self._boundary:
            run = self._open(child)
            self._log_metrics(
                run,
                [
                    metric
                    for point in points
                    for metric in metric_entities(point.metrics, point.step, moment=point.moment)
                ],
            )

    @override
    def logged_version(self, child: str) -> str | None:
        return self._runs[child].tags.get(VERSION_TAG) if child in self._runs else None

    @override
    def log(self, child: str, results: Results) -> None:
        with self._boundary, tempfile.TemporaryDirectory() as folder:
            run = self._open(child)
            self._forget(run, VERSION_TAG, DROPPED_TAG)
            tables = write_artifacts(results, Path(folder), max_bytes=self._max_bytes)
            self._client.log_artifacts(run.run_id, folder)
            params = {
                name: value for name, value in flatten(results.params).items() if name not in run.params
            }
            tags = result_tags(results, tables=tables, logged_params=run.params)
            curves = [
                point
                for name, curve in results.curves.items()
                for step, value in curve.items()
                for point in metric_entities({name: value}, step)
            ]
            self._client.log_batch(
                run.run_id,
                metrics=metric_entities(results.metrics, 0),
                params=param_entities(params),
                tags=tag_entities(tags),
            )
            self._log_metrics(run, curves)
            # The version is written last and alone, so that it exists only if everything else was written.
            self._client.set_tag(run.run_id, VERSION_TAG, results.version)
            run.params |= params
            run.tags |= {**tags, VERSION_TAG: results.version}
            if child != PARENT:
                self._close(run, "FINISHED")

    @override
    def has_model(self, child: str, version: str) -> bool:
        return child in self._runs and self._runs[child].tags.get(MODEL_TAG) == version

    @override
    def log_model(
        self, child: str, results: Results, *, name: str, module: "torch.nn.Module", input_example: np.ndarray
    ) -> None:
        with self._boundary:
            run = self._runs[child]
            model_id = log_model(
                self._client,
                self._experiment_id,
                run.run_id,
                name=name,
                module=module,
                input_example=input_example,
            )
            tags = tag_entities({MODEL_TAG: results.version})
            self._client.log_batch(
                run.run_id, metrics=metric_entities(results.metrics, 0, model_id), tags=tags
            )
            run.tags[MODEL_TAG] = results.version

    @override
    def address(self, child: str) -> str:
        return (
            f"#/experiments/{self._experiment_id}/runs/{self._runs[child].run_id}"
            if child in self._runs
            else ""
        )

    @override
    def annotate(self, child: str, note: str) -> None:
        with self._boundary:
            self._client.log_batch(self._runs[child].run_id, tags=tag_entities({NOTE_TAG: note}))

    @override
    def fail(self, child: str, reason: str) -> None:
        with self._boundary:
            run = self._open(child)
            self._client.log_batch(run.run_id, tags=tag_entities({REASON_TAG: reason}))
            run.tags[REASON_TAG] = reason
            if child != PARENT:
                self._close(run, "FAILED")

    @override
    def end(self, status: Status) -> None:
        with self._boundary:
            # PARENT is the empty name, so it sorts first and is closed last.
            for child in sorted(self._runs, reverse=True):
                if self._runs[child].status == "RUNNING":
                    self._close(self._runs[child], status)
        # The monitor is stopped last, and not if the block above failed. Stopping waits for the monitor's
        # thread, which would wait for a server that is down. Without a stop it ends with the process.
        self._machine.stop()

    def _log_metrics(self, run: KnownRun, metrics: Sequence[Metric]) -> None:
        for start in range(0, len(metrics), MAX_BATCH):
            self._client.log_batch(run.run_id, metrics=metrics[start : start + MAX_BATCH])

    def _open(self, child: str) -> KnownRun:
        """Return the run of child; create it, or reopen it if it has ended, so that it is running."""
        run, title = self._runs.get(child), self._titles.get(child, child)
        if run is None:
            created = self._client.create_run(
                self._experiment_id,
                run_name=title,
                tags={PARENT_TAG: self._parent_id, NODE_TAG: child, **self._context},
            )
            run = self._runs[child] = KnownRun(created.info.run_id, "RUNNING", title)
        if child != PARENT and (run.status != "RUNNING" or run.name != title):
            self._client.update_run(run.run_id, status="RUNNING", name=title)
            self._forget(run, REASON_TAG)
            run.status, run.name = "RUNNING", title
        return run

    def _close(self, run: KnownRun, status: Status) -> None:
        self._client.set_terminated(run.run_id, status)
        run.status = status

    def _forget(self, run: KnownRun, *tags: str) -> None:
        for tag in tags:
            if run.tags.pop(tag, None) is not None:
                self._client.delete_tag(run.run_id, tag)
