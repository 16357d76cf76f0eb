"""`dmm submit` against a real Ray head on loopback with token auth."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from head import Head, running_head
from ports import held_ports
from terminal import answer
from tiny import TINY

# Starting Ray takes much of the machine: one starts after the other.
pytestmark = [pytest.mark.ray, pytest.mark.heavy]

SMALL = TINY | {
    "populations": {role: {"n_models": 4} for role in ("scout", "heldout", "full", "oracle", "floor")}
    | {"subset": {"n_models": 8}, "designed": None},
    "estimator": {"name": "ridge"},
    "forget_sets": {"some": {"name": "random", "n_points": 5}},
    "unlearners": {"dmm": {"name": "dmm", "retain_points": 10, "epochs": 1}},
    "tracking": {},
}


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with running_head() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, with a config and much that is not to be shipped."""
    user = tmp_path / "user"
    (user / "big").mkdir(parents=True)
    (user / "tiny.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    (user / "big" / "blob").write_bytes(bytes(3 << 20))
    (user / ".rayignore").write_text("big/\n")
    return user


def test_two_heads_that_start_at_once_share_no_port() -> None:
    with held_ports(7) as ports, held_ports(7) as others:
        assert len({*ports, *others}) == 14


@pytest.mark.slow
def test_a_followed_job_ends_as_the_run_does_and_leaves_its_id(
    head: Head, folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    done = head.dmm(
        "submit",
        "tiny.yaml",
        "--address",
        head.address,
        "--store",
        str(store),
        "--follow",
        "--json",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    told = answer(done.stdout)
    assert told["status"] == "SUCCEEDED"
    assert "2 files, 0.0 MiB" in done.stderr
    assert "Trained or unlearned" in done.stderr  # the job's own log
    status = head.dmm("status", "tiny.yaml", "--store", str(store), "--json", cwd=folder)
    assert answer(status.stdout)["complete"]
    with sqlite3.connect(store / "mlflow.db") as database:
        assert database.execute("select distinct value from tags where key = 'ray_job_id'").fetchall() == [
            (told["job_id"],)
        ]


@pytest.mark.slow
def test_a_job_that_fails_is_a_command_that_fails(head: Head, folder: Path, tmp_path: Path) -> None:
    asked = (
        "submit",
        "tiny.yaml",
        "--address",
        head.address,
        "--store",
        str(tmp_path / "other"),
        "--only",
        "fit",
        "--follow",
    )
    failed = head.dmm(*asked, cwd=folder)
    assert failed.returncode == 1
    assert "first run `dmm run --only train` with the same config and store" in failed.stderr


@pytest.mark.slow
def test_a_wrong_token_is_refused_with_the_remedy(head: Head, folder: Path, tmp_path: Path) -> None:
    refused = head.dmm(
        "submit",
        "tiny.yaml",
        "--address",
        head.address,
        "--store",
        str(tmp_path),
        cwd=folder,
        RAY_AUTH_TOKEN="b2" * 32,
    )
    assert refused.returncode == 1
    assert "refused the token" in refused.stderr
    assert "RAY_AUTH_TOKEN_PATH" in refused.stderr
