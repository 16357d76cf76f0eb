"""The MLflow back-end of tracking; through the client with explicit run ids, so that no global state of MLflow is touched.

Runs are found again by tags: the parent by the digest of its config, a child by its name under the parent.
"""

import importlib.util
import re
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Run
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from pipeline.core.errors import TrackingError
from pipeline.runtime.tracker import PARENT, DatasetSummary, Numbers, Results, Status
from pipeline.runtime.tracking_artifacts import write_artifacts
from pipeline.runtime.tracking_entities import (
    DROPPED_TAG,
    context_tags,
    dataset_inputs,
    flatten,
    metric_entities,
    param_entities,
    result_tags,
    save_model,
    tag_entities,
)

if TYPE_CHECKING:
    import torch

CONFIG_TAG, ATTEMPT_TAG, NODE_TAG = "dmm.config_digest", "dmm.attempt", "dmm.node"
PARENT_TAG, VERSION_TAG, REASON_TAG = "mlflow.parentRunId", "dmm.version", "dmm.failed_because"


@dataclass
class _Child:
    """What is known of a child run, so that a request is sent only for what is new."""

    run_id: str
    status: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    model_id: str | None = None


class MlflowTracker:
    """See Tracker; what is said there holds here."""

    enabled: ClassVar[bool] = True

    def __init__(self, uri: str, *, experiment: str, artifact_root: Path, max_artifact_mb: float, system_metrics: bool) -> None:
        self._uri = uri
        self._experiment = experiment
        self._artifact_root = artifact_root
        self._max_bytes = int(max_artifact_mb * 2**20)
        self._system_metrics = system_metrics and importlib.util.find_spec("psutil") is not None
        self._monitor: SystemMetricsMonitor | None = None
        self._experiment_id = ""
        self._parent_id = ""
        self._context: dict[str, str] = {}
        self._children: dict[str, _Child] = {}
        self._boundary = _Boundary(uri)
        with self._boundary:
            self._client = MlflowClient(uri)

    def begin(
        self,
        *,
        config_digest: str,
        name: str,
        params: Mapping[str, Any],
        config_yaml: str,
        dataset: DatasetSummary,
        tags: Mapping[str, str],
    ) -> str:
        """See Tracker."""
        with self._boundary:
            self._experiment_id = self._find_or_create_experiment()
            parent = self._find_parent(config_digest)
            if parent is None:
                parent = self._client.create_run(self._experiment_id, run_name=name, tags={CONFIG_TAG: config_digest})
            self._parent_id = parent.info.run_id
            # The attempt is counted last of all, so that a run killed while it began is described again.
            n_attempts = int(parent.data.tags.get(ATTEMPT_TAG, 0))
            if n_attempts == 0:
                self._describe(params, config_yaml, dataset)
            self._context = context_tags()
            self._client.log_batch(self._parent_id, tags=tag_entities({**self._context, **tags, ATTEMPT_TAG: str(n_attempts + 1)}))
            self._client.update_run(self._parent_id, status="RUNNING")
            self._children = dict(self._find_children())
            self._children[PARENT] = _Child(self._parent_id, "RUNNING", dict(parent.data.params), dict(parent.data.tags))
            if self._system_metrics:
                self._monitor = SystemMetricsMonitor(self._parent_id, resume_logging=n_attempts > 0, tracking_uri=self._uri)
                self._monitor.start()
        return self._parent_id

    def progress(self, child: str, metrics: Numbers, step: int) -> None:
        """See Tracker."""
        with self._boundary:
            self._client.log_batch(self._open(child).run_id, metrics=metric_entities(metrics, step))
            self._client.log_batch(self._parent_id, metrics=metric_entities({f"{child}/{name}": value for name, value in metrics.items()}, step))

    def logged_version(self, child: str) -> str | None:
        """See Tracker."""
        return self._children[child].tags.get(VERSION_TAG) if child in self._children else None

    def log(self, child: str, results: Results) -> None:
        """See Tracker."""
        with self._boundary, tempfile.TemporaryDirectory() as folder:
            run = self._open(child)
            self._forget(run, VERSION_TAG, DROPPED_TAG)
            tables = write_artifacts(results, Path(folder), max_bytes=self._max_bytes)
            self._client.log_artifacts(run.run_id, folder)
            params = {name: value for name, value in flatten(results.params).items() if name not in run.params}
            tags = result_tags(results, tables=tables, logged_params=run.params)
            metrics = metric_entities(results.metrics, 0, run.model_id)
            metrics += [point for name, curve in results.curves.items() for step, value in curve.items() for point in metric_entities({name: value}, step)]
            self._client.log_batch(run.run_id, metrics=metrics, params=param_entities(params), tags=tag_entities(tags))
            # By itself and last: whatever interrupts this method, the version is there only if everything is.
            self._client.set_tag(run.run_id, VERSION_TAG, results.version)
            run.params |= params
            run.tags |= {**tags, VERSION_TAG: results.version}
            if child != PARENT:
                self._close(run, "FINISHED")

    def log_model(self, child: str, *, name: str, module: "torch.nn.Module", input_example: np.ndarray) -> None:
        """See Tracker."""
        with self._boundary, tempfile.TemporaryDirectory() as folder:
            run = self._open(child)
            model = save_model(module, Path(folder), input_example=input_example)
            # Not mlflow.pytorch.log_model: it wants a global URI and an active run, without which models land in the default experiment.
            logged = self._client.create_logged_model(self._experiment_id, name=name, source_run_id=run.run_id)
            self._client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
            model.artifact_path, model.run_id = logged.artifact_location, run.run_id
            model.model_id = model.model_uuid = logged.model_id
            model.save(f"{folder}/MLmodel")
            self._client.log_model_artifacts(logged.model_id, folder)
            self._client.finalize_logged_model(logged.model_id, "READY")
            run.model_id = logged.model_id

    def fail(self, child: str, reason: str) -> None:
        """See Tracker."""
        with self._boundary:
            run = self._open(child)
            self._client.log_batch(run.run_id, tags=tag_entities({REASON_TAG: reason}))
            run.tags[REASON_TAG] = reason
            if child != PARENT:
                self._close(run, "FAILED")

    def end(self, status: Status) -> None:
        """See Tracker."""
        with self._boundary:
            # PARENT is the empty name, so it sorts first and is closed last.
            for child in sorted(self._children, reverse=True):
                if self._children[child].status == "RUNNING":
                    self._close(self._children[child], status)
        # Last, and not on failure: joining the monitor's thread would wait for a server that is down once more. The thread is a daemon.
        if self._monitor is not None:
            self._monitor.finish()

    def _find_or_create_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            # A server keeps artifacts where it likes; a bare database would keep them in the working directory, which a Ray job loses.
            location = None if self._uri.startswith(("http", "databricks")) else self._artifact_root.as_uri()
            return self._client.create_experiment(self._experiment, artifact_location=location)
        if found.lifecycle_stage != "active":
            raise TrackingError(f"experiment {self._experiment!r} was deleted in MLflow; restore it with `mlflow experiments restore` or choose another name")
        return found.experiment_id

    def _find_parent(self, config_digest: str) -> Run | None:
        found = self._client.search_runs([self._experiment_id], f"tags.`{CONFIG_TAG}` = '{config_digest}'", max_results=1, order_by=["start_time"])
        return found[0] if found else None

    def _find_children(self) -> Iterator[tuple[str, _Child]]:
        token: str | None = None
        while token != "":
            page = self._client.search_runs([self._experiment_id], f"tags.`{PARENT_TAG}` = '{self._parent_id}'", order_by=["start_time DESC"], page_token=token)
            for run in page:
                if NODE_TAG in run.data.tags:
                    yield run.data.tags[NODE_TAG], _Child(run.info.run_id, run.info.status, run.data.params, run.data.tags)
            token = page.token or ""

    def _describe(self, params: Mapping[str, Any], config_yaml: str, dataset: DatasetSummary) -> None:
        self._client.log_batch(self._parent_id, params=param_entities(flatten(params)))
        self._client.log_text(self._parent_id, config_yaml, "config.yaml")
        self._client.log_inputs(self._parent_id, dataset_inputs(dataset))

    def _open(self, child: str) -> _Child:
        """Return the run of child, created or reopened as running."""
        run = self._children.get(child)
        if run is None:
            created = self._client.create_run(self._experiment_id, run_name=child, tags={PARENT_TAG: self._parent_id, NODE_TAG: child, **self._context})
            run = self._children[child] = _Child(created.info.run_id, "RUNNING")
        if run.status != "RUNNING":
            self._client.update_run(run.run_id, status="RUNNING")
            self._forget(run, REASON_TAG)
            run.status = "RUNNING"
        return run

    def _close(self, run: _Child, status: Status) -> None:
        self._client.set_terminated(run.run_id, status)
        run.status = status

    def _forget(self, run: _Child, *tags: str) -> None:
        for tag in tags:
            if run.tags.pop(tag, None) is not None:
                self._client.delete_tag(run.run_id, tag)


@dataclass(frozen=True)
class _Boundary:
    """Turns whatever is raised inside MLflow, and any failure to read or write, into TrackingError; lets defects of ours pass.

    It looks at where an error comes from, not at its class: artifact stores, databases and torch's export raise classes of their own.
    """

    uri: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and (isinstance(error, OSError) or _passes_mlflow(trace)):
            text = re.sub(r"//[^@/\s]*@", "//***@", f"MLflow at {self.uri} failed: {error}")[:600]
            remedy = "check the tracking URI and that the server answers. The store keeps everything: the next run logs what is missing"
            raise TrackingError(f"{text}; {remedy}") from error


def _passes_mlflow(trace: TracebackType | None) -> bool:
    return any(frame.f_globals.get("__name__", "").partition(".")[0] == "mlflow" for frame, _ in traceback.walk_tb(trace))
