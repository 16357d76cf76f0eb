"""Every command on an S3 store.

The tables equal those of a local run bit for bit, whatever the server does. A run can move in both
directions.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_server
import yaml
from terminal import Dmm, answer
from tiny import TINY, open_at, run_serially, statuses, tables

from jobs.session import Session
from pipeline import config
from pipeline.core.errors import ConfigError
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import compute_task
from pipeline.store.files.mounted import MARK

# Every stage once: each request takes this server milliseconds.
SMALL = {
    "forget_sets": {"some": TINY["forget_sets"]["some"]},
    "unlearners": {"dmm": TINY["unlearners"]["dmm"]},
    "store": {"shard_members": 10, "layout": {"block_points": 40}},
}


@pytest.fixture(autouse=True)
def small(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(TINY | SMALL, sort_keys=False))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The finished tiny run in a folder."""
    session = open_at(tmp_path_factory.mktemp("local") / "store", **SMALL)
    run_serially(session, draws=True)
    return session


@pytest.fixture(scope="module")
def remote(s3_running: s3_server.Server) -> Iterator[Session]:
    """The finished tiny run on a server that throttled, broke, hung up, and lost answers.

    The lost answers are those of requests that the server had carried out.
    """
    for kind, times, verb in (
        (503, 6, ""),
        (500, 3, "PUT"),
        ("cut", 3, "GET"),
        ("unheard", 3, "PUT"),
        (503, 4, "HEAD"),
    ):
        s3_running.fail(kind, times, verb=verb)
    session = open_at(f"s3://{s3_server.BUCKET}/{uuid.uuid4().hex}", **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.store.files.retrying._FIRST_PAUSE", 0.01)
        assert not run_serially(session, draws=True).failures
    assert all(fault.times == 0 for fault in s3_running.faults)
    return session


def asked(*verb: str, store: str) -> list[str]:
    return [verb[0], "small.yaml", "--store", store, "--json", *verb[1:]]


def test_a_run_on_s3_makes_the_tables_of_a_local_one_to_the_bit(local: Session, remote: Session) -> None:
    assert s3_server.tables_at(remote.store.uri) == tables(local.store.uri)
    assert set(statuses(remote).values()) == {"done"}


def test_a_run_moved_to_s3_and_back_is_found_done(local: Session, s3_uri: str, tmp_path: Path) -> None:
    s3_server.copy(local.store.uri, s3_uri)
    s3_server.copy(s3_uri, str(tmp_path / "back"))
    for place in (s3_uri, str(tmp_path / "back")):
        moved = run_serially(open_at(place, **SMALL))
        assert (moved.n_models_made, dict(moved.made)) == (0, {})
        assert open_at(place, **SMALL).store.files.read(MARK) == local.store.files.read(MARK)
    assert tables(tmp_path / "back") == tables(local.store.uri)


@pytest.mark.parametrize("verb", ["status", "plan"])
def test_looking_at_a_finished_run_reads_no_shard_and_writes_nothing(
    dmm: Dmm, s3: s3_server.Server, remote: Session, verb: str
) -> None:
    with s3.counting() as requests:
        status, out, _ = dmm(*asked(verb, store=remote.store.uri))
    assert status == 0
    assert {node["status"] for node in answer(out)["nodes"]} == {"done"}
    assert {request.verb for request in requests} <= {"GET", "HEAD"}
    shards = [request.path for request in requests if ".parquet" in request.path]
    assert all("/forget/" in path for path in shards)


def test_a_run_says_where_its_report_is(dmm: Dmm, remote: Session) -> None:
    status, out, _ = dmm(*asked("run", "--executor", "serial", store=remote.store.uri))
    assert (status, answer(out)["n_models_made"]) == (0, 0)
    assert answer(out)["report"] == f"{remote.store.uri}/report-tiny.html"
    assert remote.store.files.read("report-tiny.html").startswith(b"<!doctype html>")


def test_attributions_and_the_matrix_come_from_s3(dmm: Dmm, remote: Session, tmp_path: Path) -> None:
    status, out, _ = dmm(*asked("attribute", "--target", "3", store=remote.store.uri))
    assert status == 0
    assert answer(out)["picture"].startswith(f"{remote.store.uri}/attribution-tiny-point-3")
    assert dmm(*asked("export", "--to", str(tmp_path / "weights.npy"), store=remote.store.uri))[0] == 0
    assert (tmp_path / "weights.npy").stat().st_size > 0


def test_damage_on_s3_is_set_aside_and_made_again(dmm: Dmm, local: Session, s3_uri: str) -> None:
    s3_server.copy(local.store.uri, s3_uri)
    store = open_at(s3_uri, **SMALL).store
    path = next(name for name in sorted(s3_server.tables_at(s3_uri)) if name.startswith("train/subset"))
    store.files.write(path, store.files.read(path)[:-20])
    assert [problem["path"] for problem in answer(dmm(*asked("verify", store=s3_uri))[1])["problems"]] == [
        path
    ]
    repaired = answer(dmm(*asked("verify", "--repair", "--executor", "serial", store=s3_uri))[1])
    assert (repaired["ok"], repaired["quarantined"], repaired["n_models_made"]) == (
        True,
        [f"quarantine/{path}"],
        10,
    )
    assert s3_server.tables_at(s3_uri) == tables(local.store.uri)


def test_mlflows_database_has_no_place_on_s3_and_that_is_said_before_anything_is_computed(
    dmm: Dmm, s3_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    status, out, _ = dmm(*asked("run", "--executor", "serial", "--set", "tracking.uri=null", store=s3_uri))
    assert status == 2
    assert (
        "set tracking.uri to a server (http://HOST:PORT), sqlite:////absolute/path/mlflow.db or none"
        in answer(out)["error"]
    )
    assert s3_server.tables_at(s3_uri) == set()


def test_a_repair_that_could_not_compute_sets_nothing_aside(
    dmm: Dmm, s3: s3_server.Server, remote: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with s3.counting() as requests:
        status, out, _ = dmm(
            *asked(
                "verify",
                "--repair",
                "--executor",
                "serial",
                "--set",
                "tracking.uri=null",
                store=remote.store.uri,
            )
        )
    assert (status, requests) == (2, [])
    assert "cannot hold MLflow's database" in answer(out)["error"]


@pytest.mark.ray
def test_rays_workers_write_to_s3(local: Session, s3_uri: str, ray_session: None) -> None:
    from pipeline.execution.ray.tasks import RayExecutor

    session = open_at(s3_uri, **SMALL)
    walk = Walk(
        session.graph,
        session.store,
        open_executor=lambda: RayExecutor(compute_task, session.examples),
        wanted=frozenset({"train/full"}),
    )
    assert not walk.run().failures
    assert s3_server.tables_at(s3_uri) == {
        name for name in tables(local.store.uri) if name.startswith("train/full")
    }


@pytest.mark.parametrize("label", ["../../outside", "a/b", "a\\b", "..", "", "a b", "a\n"])
@pytest.mark.parametrize("place", ["name", "forget_sets", "unlearners"])
def test_no_name_that_a_user_chooses_leaves_the_store(label: str, place: str) -> None:
    chosen = label if place == "name" else {label: next(iter(TINY[place].values()))}
    with pytest.raises(ConfigError, match=r"must start with a letter or digit|expected text of the form"):
        config.build(TINY | {place: chosen})
