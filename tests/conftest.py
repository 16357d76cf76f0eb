"""Fixtures for all tests: a tiny experiment that runs in a second, and the one Ray session of the tests."""

import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from filelock import FileLock

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# Processes that share the suite share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")

import fuzz
import s3_server
from tiny import TINY, open_at, run_serially

from jobs.session import Session

# Ray's workers start before the server may be needed, and find it by these.
os.environ.update(s3_server.ENVIRONMENT)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the suite, begin with the files that use Ray, which take longest.

    Alone, the fast ones begin.
    """
    if hasattr(config, "workerinput"):
        with_ray = {item.path for item in items if item.get_closest_marker("ray")}
        items.sort(key=lambda item: item.path not in with_ray)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that make fills, once for all processes that share the suite."""
    shares_the_suite = "PYTEST_XDIST_WORKER" in os.environ
    folder = (factory.getbasetemp().parent if shares_the_suite else factory.getbasetemp()) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_name(f"{name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(autouse=True)
def fresh_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no listings, as a slow one is kept for a while.

    On a busy machine a test would otherwise not see what it did to a folder.
    """
    monkeypatch.setattr("pipeline.store.listing_cache.WORTH_KEEPING", math.inf)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed of the odd input that tests/jobs/test_fuzz.py drew."""
    terminalreporter.write_line(
        f"fuzz: DMM_FUZZ_SEED={fuzz.SEED} DMM_FUZZ_EFFORT={fuzz.EFFORT}; `make fuzz` draws another seed"
    )


@pytest.fixture
def tree() -> dict[str, Any]:
    """A config tree that a test may change."""
    return {**TINY}


@pytest.fixture
def open_tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    """Open the tiny experiment on a store of the test's own, with overrides as on the command line."""
    monkeypatch.chdir(tmp_path)

    def open_it(*overrides: str, store: Path | str | None = None, **changes: Any) -> Session:
        return open_at(store or tmp_path / "store", *overrides, **changes)

    return open_it


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one undisturbed run of the tiny experiment, to compare with and to copy, not to touch."""
    return made_once(tmp_path_factory, "whole", lambda folder: run_serially(open_at(folder), draws=True))


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """A store of the test's own, where `open_tiny` looks, that holds the whole run."""
    return Path(shutil.copytree(whole, tmp_path / "store"))


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray on this machine, once for the whole run."""
    import ray

    from pipeline.execution.ray.tasks import connect

    # Workers import what tests hand them from here.
    tests = Path(__file__).parent
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(tests), str(tests / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    )
    connect(2)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def viewed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store whose run MLflow shows, made once.

    Tests may add to it, and rely only on the run called tiny.
    """
    from viewed import make_viewed_store

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return make_viewed_store(tmp_path_factory.mktemp("viewed"))


@pytest.fixture(scope="session")
def s3_running() -> Iterator[s3_server.Server]:
    """The one S3 server of the whole run."""
    server, stop = s3_server.start()
    yield server
    stop()


@pytest.fixture
def s3(s3_running: s3_server.Server) -> Iterator[s3_server.Server]:
    """The S3 server, told to fail in no way when the test ends."""
    yield s3_running
    s3_running.faults.clear()


@pytest.fixture
def s3_uri(s3: s3_server.Server) -> str:
    """A place of the test's own on the S3 server."""
    return f"s3://{s3_server.BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def unannotated() -> Iterator[None]:
    """Do not check annotations, as outside the tests; the package itself must check its arguments."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
