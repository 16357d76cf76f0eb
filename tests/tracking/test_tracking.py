"""MLflow follows the store.

Runs are found again, brought up to date and ended, and a tracking failure is reported as such.
"""

import csv
import inspect
import json
import math
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import mlflow.artifacts
import mlflow.pytorch
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from pipeline.core.errors import ConfigError, TrackingError
from pipeline.core.fingerprint import digest_bytes
from pipeline.results.tracked import PARENT, DatasetSummary, Point, Results, RunDescription
from pipeline.tracking.mlflow.artifacts import table_csv, table_json
from pipeline.tracking.mlflow.entities import flatten
from pipeline.tracking.mlflow.mlflow_tracker import MlflowTracker
from pipeline.tracking.open_tracker import open_tracker, tracking_uri
from pipeline.tracking.tracker import Tracker

DATASET = DatasetSummary(
    name="digits",
    digest="1f3a09bc",
    n_train=3,
    n_validation=1,
    n_classes=2,
    inputs=np.zeros((4, 1, 8, 8), np.float32),
    labels=np.zeros(4, np.int64),
)


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory):
    root = tmp_path_factory.mktemp("migrated")
    MlflowClient(f"sqlite:///{root}/mlflow.db").search_experiments()
    return root / "mlflow.db"


@pytest.fixture
def store_root(tmp_path, migrated_database, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def client(store_root):
    return MlflowClient(f"sqlite:///{store_root}/mlflow.db")


def begun(store_root, *, params=None, config_digest="abc", titles=None, **options):
    tracker = open_tracker(
        None, store_root=store_root, experiment="digits", **{"system_metrics": False, **options}
    )
    return tracker, tracker.begin(described(params, config_digest, titles))


def described(params=None, config_digest="abc", titles=None):
    return RunDescription(
        config_digest=config_digest,
        name="demo",
        params=params or {},
        config_yaml="model: mlp\n",
        dataset=DATASET,
        tags={"who": "test"},
        titles=titles or {},
    )


def at(step, metrics):
    return Point(step=step, moment=1e9 + step, metrics=metrics)


def interrupt(*_):
    raise KeyboardInterrupt


def runs(client):
    found = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    return {run.info.run_name: run for run in found}


def artifact(client, child, path):
    run = runs(client)[child]
    return Path(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/{path}")).read_bytes()


def test_a_killed_run_is_reopened_and_ends_finished(store_root, client):
    _, killed = begun(store_root)
    tracker, resumed = begun(store_root)
    tracker.end("FINISHED")
    run = client.get_run(killed)
    assert resumed == killed
    assert (run.info.status, run.data.tags["dmm.attempt"]) == ("FINISHED", "2")


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_an_ended_run_is_reopened_as_running(store_root, client, status):
    tracker, ended = begun(store_root)
    tracker.end(status)
    assert client.get_run(ended).info.status == status
    assert begun(store_root)[1] == ended
    assert client.get_run(ended).info.status == "RUNNING"


def test_another_config_or_a_deleted_run_gets_a_run_of_its_own(store_root, client):
    first = begun(store_root)[1]
    other = begun(store_root, config_digest="def")[1]
    client.delete_run(first)
    assert len({first, other, begun(store_root)[1]}) == 3


def test_children_are_found_again_under_their_parent(store_root, client):
    tracker, parent = begun(store_root)
    tracker.progress("train/subset", [at(1, {"shards_done": 1})])
    tracker.log("fit/ridge", Results(version="v1"))
    resumed, _ = begun(store_root)
    resumed.progress("train/subset", [at(2, {"shards_done": 2})])
    assert resumed.logged_version("fit/ridge") == "v1"
    assert resumed.logged_version("train/subset") is None
    assert set(runs(client)) == {"demo", "train/subset", "fit/ridge"}
    assert all(
        runs(client)[child].data.tags["mlflow.parentRunId"] == parent
        for child in ("train/subset", "fit/ridge")
    )


def test_a_curve_continues_after_a_resume(store_root, client):
    for steps in ([1, 2], [3, 4]):
        tracker, _ = begun(store_root)
        for step in steps:
            tracker.progress("train/subset", [at(step, {"shards_done": step})])
    child = client.get_metric_history(runs(client)["train/subset"].info.run_id, "shards_done")
    assert [(point.step, point.value) for point in child] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [point.timestamp for point in child] == [1000 * (10**9 + step) for step in (1, 2, 3, 4)]
    assert begun(store_root)[0].last("shards_done") == 0  # of the parent, which has no such curve


def test_a_parent_ends_with_the_children_that_still_run(store_root, client):
    tracker, _ = begun(store_root)
    tracker.progress("train/full", [at(1, {"shards_done": 1})])
    tracker.log("fit", Results(version="v1"))
    resumed, _ = begun(store_root)
    resumed.progress("train/subset", [at(1, {"shards_done": 1})])
    resumed.end("KILLED")
    assert {name: run.info.status for name, run in runs(client).items()} == {
        "demo": "KILLED",
        "train/full": "KILLED",
        "train/subset": "KILLED",
        "fit": "FINISHED",
    }


def test_the_parent_is_described_once_and_by_its_first_attempt(store_root, client):
    begun(store_root, params={"recipe": {"epochs": 15, "schedule": None}, "forget_sets": {}})
    _, parent = begun(store_root, params={"recipe": {"epochs": 99}})
    run = client.get_run(parent)
    assert run.data.params == {"recipe.epochs": "15", "recipe.schedule": "null", "forget_sets": "{}"}
    assert artifact(client, "demo", "config.yaml") == b"model: mlp\n"
    [dataset] = [given.dataset for given in run.inputs.dataset_inputs]
    assert (dataset.name, dataset.digest, json.loads(dataset.profile)["n_classes"]) == (
        "digits",
        "1f3a09bc",
        2,
    )


def test_a_run_killed_while_it_began_is_described_by_the_next(store_root, client, monkeypatch):
    monkeypatch.setattr(MlflowClient, "log_text", interrupt)
    with pytest.raises(KeyboardInterrupt):
        begun(store_root, params={"epochs": 15})
    monkeypatch.undo()
    _, parent = begun(store_root, params={"epochs": 15})
    assert artifact(client, "demo", "config.yaml") == b"model: mlp\n"
    assert client.get_run(parent).data.tags["dmm.attempt"] == "1"


def test_what_changes_from_attempt_to_attempt_is_a_tag(store_root, client, monkeypatch):
    begun(store_root)
    monkeypatch.setenv(
        "RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}})
    )
    tags = client.get_run(begun(store_root)[1]).data.tags
    assert (tags["ray_job_id"], tags["dmm.attempt"], tags["who"]) == ("raysubmit_1", "2", "test")
    assert tags["dmm.host"]


def test_results_are_shown_whole_and_the_child_is_finished(store_root, client):
    tracker, _ = begun(store_root)
    rows = [{"point": np.int64(0), "klom": 0.5}, {"point": np.int64(1), "klom": math.inf, "note": "far"}]
    tracker.log(
        "evaluate/dmm",
        Results(
            version="v1",
            params={"n_bins": 20},
            metrics={"klom": 0.1},
            tables={"klom": rows},
            figures={"klom": b"png"},
            files={"a/report.html": b"<p>"},
        ),
    )
    run = runs(client)["evaluate/dmm"]
    assert (run.info.status, run.data.params, run.data.metrics) == (
        "FINISHED",
        {"n_bins": "20"},
        {"klom": 0.1},
    )
    assert artifact(client, "evaluate/dmm", "figures/klom.png") == b"png"
    assert artifact(client, "evaluate/dmm", "a/report.html") == b"<p>"
    assert (
        artifact(client, "evaluate/dmm", "tables/klom.csv").decode() == "point,klom,note\n0,0.5,\n1,inf,far\n"
    )
    assert tracker.logged_version("evaluate/dmm") == "v1"


def test_a_curve_of_results_has_a_point_at_each_step(store_root, client):
    tracker, _ = begun(store_root)
    tracker.log("fit", Results(version="v1", curves={"lds": {500: 0.4, 1000: 0.5, 2000: math.nan}}))
    history = client.get_metric_history(runs(client)["fit"].info.run_id, "lds")
    assert [(point.step, point.value) for point in history] == [(500, 0.4), (1000, 0.5)]


def test_tables_are_what_mlflow_itself_reads(store_root, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    tracker, _ = begun(store_root)
    tracker.log(
        "fit",
        Results(
            version="v1", tables={"r2": [{"output": 0, "r2": 0.25}, {"output": 1, "r2": 0.5}], "empty": []}
        ),
    )
    table = client.load_table(client.get_experiment_by_name("digits").experiment_id, "tables/r2.json")
    assert table.to_dict("list") == {"output": [0, 1], "r2": [0.25, 0.5]}


def test_a_grown_child_is_logged_anew(store_root, client):
    tracker, _ = begun(store_root)
    tracker.log(
        "fit", Results(version="v1", params={"n_models": 100, "penalty": 1.0}, tables={"r2": [{"r2": 0.1}]})
    )
    resumed, _ = begun(store_root)
    resumed.log(
        "fit",
        Results(
            version="v2", params={"n_models": 200, "penalty": 1.0, "cutoff": 3}, tables={"r2": [{"r2": 0.2}]}
        ),
    )
    run = runs(client)["fit"]
    assert resumed.logged_version("fit") == run.data.tags["dmm.version"] == "v2"
    assert run.data.params == {"n_models": "100", "penalty": "1.0", "cutoff": "3"}
    assert (run.data.tags["param.n_models"], "param.penalty" in run.data.tags) == ("200", False)
    assert json.loads(artifact(client, "fit", "tables/r2.json")) == {"columns": ["r2"], "data": [[0.2]]}


def test_a_child_interrupted_while_it_is_logged_has_no_version(store_root, monkeypatch):
    tracker, _ = begun(store_root)
    tracker.log("fit", Results(version="v1"))
    monkeypatch.setattr(MlflowClient, "log_artifacts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tracker.log("fit", Results(version="v2"))
    assert begun(store_root)[0].logged_version("fit") is None


def test_a_large_artifact_is_logged_by_reference(store_root, client):
    (store_root / "datamodel.parquet").write_bytes(b"x" * 5000)
    tracker, _ = begun(store_root, max_artifact_mb=1 / 1024)
    tracker.log(
        "fit",
        Results(version="v1", files={"datamodel.parquet": store_root / "datamodel.parquet", "small": b"y"}),
    )
    assert json.loads(artifact(client, "fit", "datamodel.parquet.reference.json")) == {
        "uri": (store_root / "datamodel.parquet").as_uri(),
        "bytes": 5000,
        "digest": digest_bytes(b"x" * 5000),
    }
    assert artifact(client, "fit", "small") == b"y"
    assert "datamodel.parquet" not in [
        file.path for file in client.list_artifacts(runs(client)["fit"].info.run_id)
    ]


def test_a_number_that_is_none_is_never_sent_but_named(store_root, client):
    tracker, _ = begun(store_root)
    tracker.progress("train/subset", [at(1, {"loss": math.nan, "shards_done": 1})])
    tracker.log(
        "evaluate",
        Results(
            version="v1", metrics={"klom": math.nan, "lira": np.float32(np.inf), "accuracy": np.float32(0.5)}
        ),
    )
    assert runs(client)["train/subset"].data.metrics == {"shards_done": 1}
    assert runs(client)["evaluate"].data.metrics == {"accuracy": 0.5}
    assert runs(client)["evaluate"].data.tags["dmm.metrics_not_finite"] == "klom, lira"
    tracker.log("evaluate", Results(version="v2", metrics={"klom": 1.0}))
    assert "dmm.metrics_not_finite" not in runs(client)["evaluate"].data.tags


def test_a_failed_child_says_why_until_it_succeeds(store_root, client):
    tracker, _ = begun(store_root)
    tracker.fail("train/subset", "2 of 6 shards failed")
    assert runs(client)["train/subset"].info.status == "FAILED"
    assert runs(client)["train/subset"].data.tags["dmm.failed_because"] == "2 of 6 shards failed"
    resumed, _ = begun(store_root)
    resumed.log("train/subset", Results(version="v1"))
    assert runs(client)["train/subset"].info.status == "FINISHED"
    assert "dmm.failed_because" not in runs(client)["train/subset"].data.tags


def test_a_logged_model_gives_the_same_outputs_for_any_number_of_inputs(store_root, client):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3), torch.nn.Dropout(0.5))
    inputs = np.random.default_rng(0).normal(size=(5, 1, 8, 8)).astype(np.float32)
    tracker, _ = begun(store_root)
    results = Results(version="v1", metrics={"klom": 0.5})
    tracker.log("unlearn/dmm", results)
    assert not tracker.has_model("unlearn/dmm", "v1")
    tracker.log_model("unlearn/dmm", results, name="dmm", module=module, input_example=inputs[:2])
    assert begun(store_root)[0].has_model("unlearn/dmm", "v1")
    [model] = client.search_logged_models([client.get_experiment_by_name("digits").experiment_id])
    loaded = mlflow.pytorch.load_model(model.artifact_location)
    assert module.training
    torch.testing.assert_close(loaded(torch.from_numpy(inputs)), module.eval()(torch.from_numpy(inputs)))
    assert (model.name, model.status, model.source_run_id) == (
        "dmm",
        "READY",
        runs(client)["unlearn/dmm"].info.run_id,
    )
    assert [(metric.key, metric.value) for metric in model.metrics] == [("klom", 0.5)]


def test_labels_that_users_choose_and_large_configs_are_accepted(store_root, client):
    tracker, parent = begun(
        store_root, params={"unlearners": {f"my+method {i}": {"name": "dmm" * 3000} for i in range(150)}}
    )
    tracker.progress(PARENT, [at(1, {"unlearn/a+b (1)/shards_done": 1})])
    run = client.get_run(parent)
    assert len(run.data.params) == 150
    assert len(run.data.params["unlearners.my_method 7.name"]) == 6000
    assert run.data.metrics == {"unlearn/a_b _1_/shards_done": 1}


def test_an_unreachable_server_is_a_tracking_error_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker = open_tracker("http://user:secret@127.0.0.1:9", store_root=tmp_path, experiment="digits")
    with pytest.raises(
        TrackingError, match=r"http://\*\*\*@127.0.0.1:9 failed.*Connection refused.*next run logs"
    ) as caught:
        tracker.begin(described())
    assert "secret" not in str(caught.value)


def test_a_deleted_experiment_is_named_with_the_remedy(store_root, client):
    begun(store_root)
    client.delete_experiment(client.get_experiment_by_name("digits").experiment_id)
    with pytest.raises(TrackingError, match=r"'digits' was deleted.*restore"):
        begun(store_root)


def test_a_database_that_cannot_be_opened_is_a_tracking_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database")
    with pytest.raises(TrackingError, match="file is not a database"):
        begun(tmp_path)


def test_a_model_that_cannot_be_exported_is_a_tracking_error(store_root):
    class Undecided(torch.nn.Module):
        def forward(self, inputs):
            return inputs if inputs.sum() > 0 else -inputs

    tracker, _ = begun(store_root)
    tracker.log("unlearn/dmm", Results(version="v1"))
    with pytest.raises(TrackingError):
        tracker.log_model(
            "unlearn/dmm",
            Results(version="v1"),
            name="dmm",
            module=Undecided(),
            input_example=np.ones((2, 3), np.float32),
        )


def test_a_defect_of_ours_does_not_pass_for_a_tracking_error(store_root):
    tracker, _ = begun(store_root)
    with pytest.raises(TypeError):
        tracker.log("fit", Results(version="v1", tables={"klom": [{"klom": object()}]}))


def test_system_metrics_run_beside_the_parent_and_stop_with_it(store_root, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")

    def monitors():
        return [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]

    tracker, _ = begun(store_root, system_metrics=True)
    assert [thread.daemon for thread in monitors()] == [True]
    tracker.end("FINISHED")
    assert monitors() == []


def test_a_normal_run_is_silent(store_root, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            tracker, _ = begun(store_root, params={"epochs": 15}, system_metrics=True)
            tracker.progress("train/subset", [at(1, {"shards_done": 1})])
            tracker.log(
                "train/subset",
                Results(
                    version="v1", metrics={"accuracy": 0.9}, tables={"t": [{"a": 1}]}, figures={"f": b""}
                ),
            )
            tracker.end("FINISHED")
    assert capfd.readouterr() == ("", "")


def test_tracking_turned_off_does_not_import_mlflow():
    program = (
        "import sys, pathlib; from pipeline.tracking.open_tracker import open_tracker as o; o('none', "
        "store_root=pathlib.Path(), experiment='e'); "
    )
    done = subprocess.run(
        [sys.executable, "-c", program + "print('mlflow' in sys.modules, 'torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_tracker_of_mlflow_overrides_every_method():
    methods = [
        name
        for name, value in vars(Tracker).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    assert len(methods) == 11
    assert all(
        name in vars(MlflowTracker)
        and inspect.signature(getattr(MlflowTracker, name)) == inspect.signature(getattr(Tracker, name))
        for name in methods
    )


def test_a_plain_tracker_shows_nothing():
    tracker = Tracker()
    tracker.progress("train", [at(1, {"a": 1})])
    tracker.log("train", Results(version="v1"))
    tracker.end("FINISHED")
    assert (tracker.enabled, tracker.logged_version("train")) == (False, None)


def test_the_address_is_given_or_from_the_environment_or_in_the_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(None, store_root=tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri(None, store_root=tmp_path) == "http://mlflow:5000"
    assert tracking_uri("https://other", store_root=tmp_path) == "https://other"
    assert tracking_uri("None", store_root=tmp_path) is None


@pytest.mark.parametrize("uri", ["mlruns", "/data/mlruns", "file:///data/mlruns", "./mlruns"])
def test_the_file_store_is_refused_with_the_remedy(tmp_path, uri):
    with pytest.raises(
        ConfigError, match=r"is a folder, which MLflow no longer accepts; use sqlite:///.*or none"
    ):
        open_tracker(uri, store_root=tmp_path, experiment="digits")


def test_artifacts_stay_in_the_store_wherever_the_driver_runs(
    store_root, client, monkeypatch, tmp_path_factory
):
    monkeypatch.chdir(tmp_path_factory.mktemp("job"))
    tracker, _ = begun(store_root)
    tracker.log("fit", Results(version="v1", files={"a": b"a"}))
    assert runs(client)["fit"].info.artifact_uri.startswith((store_root / "mlartifacts").as_uri())
    assert list(Path.cwd().iterdir()) == []


def test_flatten_writes_values_as_yaml_would():
    assert flatten({"a": {"b": [1, "x"], "c": {}}, "d": True, "e": "text"}) == {
        "a.b": '[1, "x"]',
        "a.c": "{}",
        "d": "true",
        "e": "text",
    }


def test_tables_keep_every_column_and_no_json_holds_nan():
    rows = [{"a": np.float64("nan"), "b": "x,y"}, {"c": None, "a": np.bool_(True)}]
    assert json.loads(table_json(rows)) == {
        "columns": ["a", "b", "c"],
        "data": [[None, "x,y", None], [True, None, None]],
    }
    assert list(csv.DictReader(table_csv(rows).splitlines())) == [
        {"a": "nan", "b": "x,y", "c": ""},
        {"a": "True", "b": "", "c": ""},
    ]


def test_a_store_that_is_no_folder_has_no_database_and_keeps_artifacts_beside_a_given_one(
    store_root, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(
        ConfigError,
        match=(
            r"set tracking.uri to a server \(http://HOST:PORT\), sqlite:////absolute/path/mlflow.db or none"
        ),
    ):
        tracking_uri(None, store_root=None)
    assert tracking_uri("none", store_root=None) is None
    tracker = open_tracker(
        f"sqlite:///{store_root}/mlflow.db", store_root=None, experiment="digits", system_metrics=False
    )
    assert tracker._artifact_root == store_root / "mlartifacts"
