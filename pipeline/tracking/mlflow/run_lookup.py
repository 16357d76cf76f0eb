"""Finds the runs of an earlier attempt in MLflow by their tags.

A parent run is found by the digest of its config, and a child run by its name and the id of its parent.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipeline.core.errors import TrackingError
from pipeline.results.tracked import RunDescription
from pipeline.tracking.mlflow.entities import dataset_inputs, flatten, param_entities

CONFIG_TAG, ATTEMPT_TAG, NODE_TAG = "dmm.config_digest", "dmm.attempt", "dmm.node"
PARENT_TAG, VERSION_TAG, MODEL_TAG, REASON_TAG = (
    "mlflow.parentRunId",
    "dmm.version",
    "dmm.model_version",
    "dmm.failed_because",
)


@dataclass
class KnownRun:
    """The values that a run has in MLflow, kept here so that only new values need a request."""

    run_id: str
    status: str
    name: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> "KnownRun":
        """Return the values of a run from an answer of MLflow."""
        return cls(
            run.info.run_id,
            run.info.status,
            run.info.run_name or "",
            dict(run.data.params),
            dict(run.data.tags),
        )


def find_or_create_experiment(client: MlflowClient, name: str, artifact_root: Path | None) -> str:
    """Return the id of the experiment called name.

    artifact_root is the folder in which a new experiment keeps artifacts, None if a server decides that. If
    MLflow writes to a database and no folder is given, it keeps artifacts in the working directory, which is
    deleted after a Ray job. Raises TrackingError if the experiment was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(
            name, artifact_location=None if artifact_root is None else artifact_root.as_uri()
        )
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {name!r} was deleted in MLflow; restore it with `mlflow experiments restore` or "
            "choose another name"
        )
    return found.experiment_id


def find_parent(client: MlflowClient, experiment_id: str, config_digest: str) -> Run | None:
    """Return the parent run of the config with this digest, the oldest if there are several, or None."""
    found = client.search_runs(
        [experiment_id], f"tags.`{CONFIG_TAG}` = '{config_digest}'", max_results=1, order_by=["start_time"]
    )
    return found[0] if found else None


def find_children(client: MlflowClient, experiment_id: str, parent_id: str) -> Iterator[tuple[str, KnownRun]]:
    """Yield (name, run) for each child run of a parent, the newest first; names may occur twice."""
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment_id],
            f"tags.`{PARENT_TAG}` = '{parent_id}'",
            order_by=["start_time DESC"],
            page_token=token,
        )
        for run in page:
            if NODE_TAG in run.data.tags:
                yield run.data.tags[NODE_TAG], KnownRun.of(run)
        token = page.token or ""


def describe_run(client: MlflowClient, run_id: str, about: RunDescription) -> None:
    """Log the parts of a run that never change: parameters, config and data set."""
    client.log_batch(run_id, params=param_entities(flatten(about.params)))
    client.log_text(run_id, about.config_yaml, "config.yaml")
    try:
        client.log_inputs(run_id, dataset_inputs(about.dataset))
    except MlflowException:
        # The request fails if another run logs the same new data set at the same moment. Now the data set
        # exists, so a second request succeeds.
        client.log_inputs(run_id, dataset_inputs(about.dataset))
