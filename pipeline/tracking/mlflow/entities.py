"""Converts values to MLflow's entities: metrics, parameters, tags and data sets.

Names are made acceptable, long text is cut, and numbers that are not finite are left out.
"""

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
    """Return nested settings as flat parameters of MLflow.

    The keys of a nested setting are joined with dots, such as `recipe.epochs`. Text stays as it is, cut to
    MAX_PARAM characters. Any other value becomes JSON.
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
    """Return name with `_` for every character that MLflow forbids in metrics and parameters.

    Names contain labels that users choose. The name is cut to MAX_NAME characters.
    """
    return re.sub(r"[^\w\-. :/]", "_", name)[:MAX_NAME]


def metric_entities(
    values: Numbers, step: int, model_id: str | None = None, *, moment: float | None = None
) -> list[Metric]:
    """Return the finite values as metrics; moment is in seconds since the epoch, now by default.

    Other values are left out, because a NaN would break the curves and the sorting of the UI.
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
    """Return the tags that a run gets from results.

    They hold the tags and the note of results, the tables that the UI shows, and the names of metrics that
    are not finite. They also hold the parameters that differ from the logged ones, because MLflow refuses to
    change a parameter.
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
    """Return the data set for MLflow's UI: name, digest, schema, and the counts of points and classes."""
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
