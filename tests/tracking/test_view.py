"""MLflow shows the content of the store: one parent run, its children and their tables.

A resumed run continues in the same runs; a grown one has its own.
"""

import json
from pathlib import Path
from typing import Any

import mlflow.artifacts
import mlflow.pytorch
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from tiny import TINY
from viewed import UNLEARNERS, run

from jobs.session import open_session


@pytest.fixture(scope="module")
def store(viewed_store: Path) -> Path:
    return viewed_store


@pytest.fixture
def client(store: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{store}/mlflow.db")


def runs(client: MlflowClient) -> dict[str, Run]:
    """Return the runs of the experiment called tiny by name; another test may have added one."""
    found = client.search_runs([client.get_experiment_by_name("unlearning").experiment_id])
    parents = [run.info.run_id for run in found if run.info.run_name == "tiny"]
    mine = [run for run in found if {run.info.run_id, run.data.tags.get("mlflow.parentRunId")} & set(parents)]
    return {run.info.run_name: run for run in mine}


def artifact(run: Run, path: str) -> bytes:
    return Path(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/{path}")).read_bytes()


def table(run: Run, name: str) -> dict[str, list[Any]]:
    """Return the columns of a table."""
    found = json.loads(artifact(run, f"tables/{name}.json"))
    return {column: [row[place] for row in found["data"]] for place, column in enumerate(found["columns"])}


def test_one_parent_has_a_child_for_each_stage_and_each_verdict(client: MlflowClient) -> None:
    verdicts = {f"4 {label}: {name}" for name in (*UNLEARNERS, "floor") for label in TINY["forget_sets"]}
    found = runs(client)
    assert set(found) == {"tiny", "2 models", "1 forget sets", "3 attribution"} | verdicts
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for name, run in found.items() if name != "tiny"} == {
        found["tiny"].info.run_id
    }


def test_the_parent_shows_what_it_came_to(client: MlflowClient, store: Path) -> None:
    parent = runs(client)["tiny"]
    assert parent.data.params["populations.subset.n_models"] == "20"
    assert "p95_klom_forget/some/dmm" in parent.data.metrics
    assert parent.inputs.dataset_inputs[0].dataset.name == "planted"
    assert artifact(parent, "report.html") == (store / "report-tiny.html").read_bytes()
    assert artifact(parent, "config.yaml").startswith(b"name: tiny")
    assert artifact(parent, "figures/klom_against_cost.png").startswith(b"\x89PNG")


def test_metrics_of_a_verdict_are_those_of_the_results(client: MlflowClient, store: Path) -> None:
    rows = run(open_session(str(store.parent / "tiny.yaml"), (), str(store))).to_json()["results"]
    found = runs(client)
    for row in rows:
        metrics = found[f"4 {row['forget_set']}: {row['unlearner']}"].data.metrics
        for split in ("forget", "retain", "validation"):
            assert (metrics[f"p95_klom_{split}"], metrics[f"mean_klom_{split}"]) == (
                row[split],
                row["mean"][split],
            )
        assert metrics["cost_fraction"] == row["cost"]["fraction"]
    assert found["4 some: dmm"].data.params["unlearner.retain_points"] == "10"


def test_progress_is_a_curve_that_goes_on_after_the_interruption(client: MlflowClient) -> None:
    history = client.get_metric_history(runs(client)["tiny"].info.run_id, "progress/models_done")
    assert [point.step for point in history] == sorted(point.step for point in history)
    assert history[0].value < history[-1].value == 20 + 10 + 2 + 6 + 6 + 2 * 12 + 2 * 4 * 6


def test_tables_are_named_by_place_and_digest(client: MlflowClient, store: Path) -> None:
    tables = json.loads(artifact(runs(client)["3 attribution"], "tables.json"))
    assert set(tables) == {
        "groups",
        "factor",
        "fit",
        "score",
        "curve",
        "effect/some",
        "effect/wrong",
        "influences",
    }
    assert all(
        Path(table["uri"]).is_relative_to(store) and len(table["digest"]) == 16 for table in tables.values()
    )


def test_attribution_shows_its_score_against_the_number_of_models(client: MlflowClient) -> None:
    run = runs(client)["3 attribution"]
    history = client.get_metric_history(run.info.run_id, "lds_by_models")
    assert [point.step for point in history] == [6, 8, 15, 30]
    assert {"lds", "lds_low", "lds_high", "r2_heldout", "r2_logits", "r2_margins"} <= set(run.data.metrics)
    assert artifact(run, "figures/lds_by_models.png").startswith(b"\x89PNG")


def test_attribution_shows_r2_by_block_effects_and_examples(client: MlflowClient) -> None:
    run = runs(client)["3 attribution"]
    blocks = table(run, "r2_heldout")
    assert (blocks["first_point"], blocks["last_point"]) == ([0, 30, 60], [29, 59, 79])
    assert table(run, "effects")["forget_set"] == list(TINY["forget_sets"])
    assert all(0 <= share <= 1 for share in table(run, "effects")["share_above_two_standard_errors"])
    assert set(table(run, "influences")["forget_set"]) == set(TINY["forget_sets"])


def test_an_unlearned_model_is_loaded_without_our_code(client: MlflowClient) -> None:
    found = {
        model.name: model
        for model in client.search_logged_models([client.get_experiment_by_name("unlearning").experiment_id])
    }
    assert set(found) == {
        f"{name}-{label}" for name in ("dmm", "ascent", "bound") for label in TINY["forget_sets"]
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
        mlflow.set_tracking_uri(client.tracking_uri)
        module = mlflow.pytorch.load_model(found["dmm-some"].model_uri)
    assert module(torch.zeros(3, 12)).shape == (3, 3)


def test_a_grown_experiment_has_a_parent_of_its_own(client: MlflowClient, store: Path) -> None:
    before = runs(client)["tiny"].info.run_id
    grown = run(
        open_session(
            str(store.parent / "tiny.yaml"), ["populations.subset.n_models=22", "name=grown"], str(store)
        )
    )
    assert grown.n_models_made == 2 + 2 * 6
    assert grown.mlflow_run_id != before
    assert client.get_run(before).info.status == "FINISHED"
    assert client.get_run(grown.mlflow_run_id).data.params["populations.subset.n_models"] == "22"
