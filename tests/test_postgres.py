"""A shared MLflow on PostgreSQL, with two runs at once; neither loses anything."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from ports import held_ports
from server import serving
from tiny import TINY

from jobs.session import Session, open_session
from pipeline import config

FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ROOT = Path(__file__).parents[1]


def why_no_postgres() -> str | None:
    """Return why no PostgreSQL server can be started here, None if one can."""
    if not FOLDERS:
        return "no PostgreSQL under /usr/lib/postgresql: install Debian's postgresql"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return (
            "PostgreSQL refuses to run as root, and there is no setpriv to become somebody else: install "
            "Debian's util-linux"
        )
    return None


pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(why_no_postgres() is not None, reason=str(why_no_postgres())),
]


def as_nobody() -> list[str]:
    """Return what to put before a command so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server on loopback, its data in memory where that is possible.

    Gone with everything in it afterwards.
    """
    home = tmp_path_factory.mktemp("postgres")
    # Not below pytest's own folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", pwd.getpwnam("nobody").pw_gid)
    with held_ports(1) as (port,):
        yield from serve(home, folder, port)


def serve(home: Path, folder: Path, port: int) -> Iterator[str]:
    """Yield the address of the server once it answers; end it afterwards."""
    log = (home / "log").open("ab")
    initdb = [
        *as_nobody(),
        str(FOLDERS[-1] / "initdb"),
        "--pgdata",
        str(folder / "data"),
        "--username",
        "mlflow",
        "--auth",
        "trust",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, stdout=log, stderr=log, cwd=folder)
    options = [
        "-D",
        str(folder / "data"),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-k",
        str(folder),
        "-c",
        "fsync=off",
    ]
    server = subprocess.Popen(
        [*as_nobody(), str(FOLDERS[-1] / "postgres"), *options], stdout=log, stderr=log, cwd=folder
    )
    try:
        ready = [str(FOLDERS[-1] / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
        deadline = time.monotonic() + 300
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.05)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        # Not SIGTERM, which waits for clients to leave, the test's own among them.
        server.send_signal(signal.SIGINT)
        server.wait(300)
        log.close()
        shutil.rmtree(folder)


def start(session: Session, file: Path) -> subprocess.Popen[str]:
    """Start `dmm run` in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "jobs",
        "run",
        str(file),
        "--executor",
        "serial",
        "--store",
        session.store.uri,
    ]
    house = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=file.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=house
    )


def test_two_runs_at_once_log_without_loss(database: str, tmp_path: Path) -> None:
    with serving(database, tmp_path) as server:
        running = {}
        for name in ("one", "two"):
            settings = {
                **TINY,
                "name": name,
                "seed": len(running),
                "unlearners": {"nothing": "no_op"},
                "tracking": {"uri": server.uri},
            }
            (tmp_path / f"{name}.yaml").write_text(config.build(settings, []).to_yaml())
            session = open_session(str(tmp_path / f"{name}.yaml"), (), str(tmp_path / name))
            running[name] = start(session, tmp_path / f"{name}.yaml")
        said = {name: process.communicate()[0] for name, process in running.items()}
    assert {name: process.returncode for name, process in running.items()} == {"one": 0, "two": 0}, said
    client = MlflowClient(database)
    found = client.search_runs([client.get_experiment_by_name("unlearning").experiment_id])
    parents = {run.info.run_name: run for run in found if "mlflow.parentRunId" not in run.data.tags}
    assert {run.info.status for run in found} == {"FINISHED"}
    assert set(parents) == {"one", "two"}
    for parent in parents.values():
        children = {
            run.info.run_name: run
            for run in found
            if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
        }
        verdicts = {f"4 {label}: {name}" for label in ("some", "wrong") for name in ("nothing", "floor")}
        assert set(children) == {"1 forget sets", "2 models"} | verdicts
        assert all("p95_klom_forget" in children[verdict].data.metrics for verdict in verdicts)
        assert parent.data.metrics["progress/models_left"] == 0
        assert len([name for name in parent.data.metrics if name.startswith("p95_klom")]) == 6
