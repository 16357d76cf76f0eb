"""Logs trained models in MLflow's format; they load without this package and without pickle."""

import copy
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model

if TYPE_CHECKING:
    import torch


def log_model(
    client: MlflowClient,
    experiment_id: str,
    run_id: str,
    *,
    name: str,
    module: "torch.nn.Module",
    input_example: np.ndarray,
) -> str:
    """Log a model as an output of a run and return its id.

    input_example (n, ...) holds at least two inputs.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = save_model(module, Path(folder), input_example=input_example)
        # mlflow.pytorch.log_model is not used, because it needs a global URI and an active run. Without an
        # active run it would log the model to the default experiment.
        logged = client.create_logged_model(experiment_id, name=name, source_run_id=run_id)
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        model.artifact_path, model.run_id = logged.artifact_location, run_id
        model.model_id = model.model_uuid = logged.model_id
        model.save(f"{folder}/MLmodel")
        client.log_model_artifacts(logged.model_id, folder)
        client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def save_model(module: "torch.nn.Module", folder: Path, *, input_example: np.ndarray) -> Model:
    """Write a copy of module, in evaluation mode, to the empty folder as an MLflow model.

    Returns MLflow's description of the model. The model is saved as torch's exported graph, which loads
    without the classes of this package and without pickle. The first export of a process takes 2 s, each
    further one 0.1 s.
    """
    import mlflow.pytorch
    import torch

    model = Model()
    with warnings.catch_warnings():
        # On their first import here, MLflow and torch warn about their own code, which users cannot change.
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(
            copy.deepcopy(module).cpu().eval(),
            str(folder),
            mlflow_model=model,
            input_example=input_example,
            # If no requirements were given, MLflow would load the model in a new process to find them.
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
            serialization_format="pt2",
        )
    return model
