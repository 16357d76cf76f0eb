"""Our values in MLflow's terms: names it accepts, text within its limits, numbers that are numbers."""

import copy
import json
import math
import platform
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.models import Model
from mlflow.tracking.context.registry import resolve_tags

from pipeline.runtime.job import ray_job_id
from pipeline.runtime.tracker import DatasetSummary, Numbers, Results

if TYPE_CHECKING:
    import torch

MAX_NAME, MAX_PARAM, MAX_TAG = 250, 6000, 5000  # characters
TABLES_TAG, DROPPED_TAG = "mlflow.loggedArtifacts", "dmm.metrics_not_finite"
CONTEXT_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as parameters: keys a.b.c, strings as they are, everything else as JSON, which is how YAML would write it."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[accepted_name(f"{prefix}{key}")] = (value if isinstance(value, str) else json.dumps(value, default=str))[:MAX_PARAM]
    return flat


def accepted_name(name: str) -> str:
    """Return name with every character that MLflow forbids in metrics and parameters replaced: users choose the labels in them."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:MAX_NAME]


def metric_entities(values: Numbers, step: int, model_id: str | None = None) -> list[Metric]:
    """Return the finite ones of values as metrics of this moment: a NaN would break the curves and the sorting of the UI."""
    now = int(time.time() * 1000)
    return [Metric(accepted_name(name), float(value), now, step, model_id=model_id) for name, value in values.items() if math.isfinite(value)]


def param_entities(values: Mapping[str, str]) -> list[Param]:
    """Return values, flat, as parameters."""
    return [Param(name, value) for name, value in values.items()]


def tag_entities(values: Mapping[str, str]) -> list[RunTag]:
    """Return values as tags, cut to the length that every server accepts."""
    return [RunTag(name, value[:MAX_TAG]) for name, value in values.items()]


def result_tags(results: Results, *, tables: list[str], logged_params: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of results: their own, the list by which the UI shows tables, and what cannot be shown elsewhere.

    That is parameters that are no longer what was logged, which MLflow refuses to change, and the names of metrics that are not finite.
    """
    shown = json.dumps([{"path": path, "type": "table"} for path in tables])
    changed = {f"param.{name}": value for name, value in flatten(results.params).items() if logged_params.get(name, value) != value}
    dropped = ", ".join(name for name, value in results.metrics.items() if not math.isfinite(value))
    return {**results.tags, **changed, TABLES_TAG: shown, **({DROPPED_TAG: dropped} if dropped else {})}


def context_tags() -> dict[str, str]:
    """Return the tags that say where this attempt runs: what MLflow finds out itself, the host, and the Ray job if there is one.

    Not the URL of the git remote, which may hold a password.
    """
    found = resolve_tags()
    job = ray_job_id()
    return {key: found[key] for key in CONTEXT_TAGS if key in found} | {"dmm.host": platform.node()} | ({"ray_job_id": job} if job else {})


def dataset_inputs(summary: DatasetSummary) -> list[DatasetInput]:
    """Return the data set as MLflow's UI shows it: name, digest, schema, and the counts of the split."""
    described = from_numpy(summary.inputs, targets=summary.labels, name=summary.name, digest=summary.digest).to_dict()
    counts = {"n_train": summary.n_train, "n_validation": summary.n_validation, "n_classes": summary.n_classes}
    profile = json.dumps({**json.loads(described.pop("profile")), **counts})
    return [DatasetInput(Dataset(**described, profile=profile), [InputTag("mlflow.data.context", "training and validation")])]


def save_model(module: "torch.nn.Module", folder: Path, *, input_example: np.ndarray) -> Model:
    """Write a copy of module, in evaluation mode, to the empty folder as an MLflow model and return its description.

    The form is torch's exported graph: it loads without our classes and without pickle. The first export of a process takes 2 s, further ones .1 s.
    """
    import mlflow.pytorch
    import torch

    model = Model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow and torch warn about code of their own when they are first imported here
        mlflow.pytorch.save_model(
            copy.deepcopy(module).cpu().eval(),
            str(folder),
            mlflow_model=model,
            input_example=input_example,
            # Given, as MLflow would otherwise load the model in a new process to find them.
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
            serialization_format="pt2",
        )
    return model
