"""Our values as entities of MLflow: accepted names, text within the limits, finite numbers."""

import json
import math
import platform
import re
import time
from collections.abc import Mapping
from typing import Any

from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking.context.registry import resolve_tags

from pipeline.execution.ray_environment import ray_job_id
from pipeline.results.tracked import MOST_IN_NOTE, DatasetSummary, Numbers, Results

MAX_NAME, MAX_PARAM, MAX_TAG = 250, 6000, MOST_IN_NOTE  # characters
MAX_BATCH = 1000  # metrics in one request
TABLES_TAG, DROPPED_TAG, NOTE_TAG = "mlflow.loggedArtifacts", "dmm.metrics_not_finite", "mlflow.note.content"
CONTEXT_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as flat parameters.

    Keys are a.b.c. Strings stay as they are. Everything else is JSON, which is also how YAML would write it.
    """
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[accepted_name(f"{prefix}{key}")] = (
                value if isinstance(value, str) else json.dumps(value, default=str)
            )[:MAX_PARAM]
    return flat


def accepted_name(name: str) -> str:
    """Return name with every character that MLflow forbids in metrics and parameters replaced.

    Names contain labels, which users choose.
    """
    return re.sub(r"[^\w\-. :/]", "_", name)[:MAX_NAME]


def metric_entities(
    values: Numbers, step: int, model_id: str | None = None, *, moment: float | None = None
) -> list[Metric]:
    """Return the finite values as metrics; moment is in seconds since the epoch, now by default.

    A NaN would break the curves and the sorting of the UI.
    """
    now = int(1000 * (time.time() if moment is None else moment))
    return [
        Metric(accepted_name(name), float(value), now, step, model_id=model_id)
        for name, value in values.items()
        if math.isfinite(value)
    ]


def param_entities(values: Mapping[str, str]) -> list[Param]:
    """Return flat values as parameters."""
    return [Param(name, value) for name, value in values.items()]


def tag_entities(values: Mapping[str, str]) -> list[RunTag]:
    """Return values as tags, cut to the length that every server accepts."""
    return [RunTag(name, value[:MAX_TAG]) for name, value in values.items()]


def result_tags(results: Results, *, tables: list[str], logged_params: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of results.

    They are the tags and the note of the results, the list of tables that the UI shows, parameters that
    differ from the logged ones, which MLflow refuses to change, and the names of metrics that are not finite.
    """
    shown = json.dumps([{"path": path, "type": "table"} for path in tables])
    changed = {
        f"param.{name}": value
        for name, value in flatten(results.params).items()
        if logged_params.get(name, value) != value
    }
    dropped = ", ".join(name for name, value in results.metrics.items() if not math.isfinite(value))
    note = {NOTE_TAG: results.note} if results.note else {}
    return {
        **results.tags,
        **note,
        **changed,
        TABLES_TAG: shown,
        **({DROPPED_TAG: dropped} if dropped else {}),
    }


def context_tags() -> dict[str, str]:
    """Return the tags that say where this attempt runs.

    They are MLflow's own tags, the host, and the Ray job if there is one. The URL of the git remote is left
    out, because it may hold a password.
    """
    found = resolve_tags()
    job = ray_job_id()
    return (
        {key: found[key] for key in CONTEXT_TAGS if key in found}
        | {"dmm.host": platform.node()}
        | ({"ray_job_id": job} if job else {})
    )


def dataset_inputs(summary: DatasetSummary) -> list[DatasetInput]:
    """Return the data set for MLflow's UI: name, digest, schema, and the counts of the split."""
    described = from_numpy(
        summary.inputs, targets=summary.labels, name=summary.name, digest=summary.digest
    ).to_dict()
    counts = {
        "n_train": summary.n_train,
        "n_validation": summary.n_validation,
        "n_classes": summary.n_classes,
    }
    profile = json.dumps({**json.loads(described.pop("profile")), **counts})
    return [
        DatasetInput(
            Dataset(**described, profile=profile),
            [InputTag("mlflow.data.context", "training and validation")],
        )
    ]
