"""What all tests share: a tiny experiment that runs in a second, and the one Ray session of the whole run."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")

from tiny import TINY

from jobs.session import Session, check
from pipeline import config
from pipeline.blueprint import build_graph
from pipeline.runtime.store import Store


@pytest.fixture
def tree() -> dict[str, Any]:
    """A config tree that a test may change."""
    return {**TINY}


@pytest.fixture
def open_tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    """Open the tiny experiment on a store of the test's own, with overrides as on the command line."""
    monkeypatch.chdir(tmp_path)

    def open_it(*overrides: str, store: Path | None = None, **changes: Any) -> Session:
        experiment = config.build(TINY | changes, overrides)
        examples = experiment.dataset.load()
        check(experiment, examples)
        return Session(experiment, examples, build_graph(experiment, examples), Store(str(store or tmp_path / "store")))

    return open_it


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray on this machine, once for the whole run."""
    import ray

    from pipeline.runtime.ray_tasks import connect

    # Workers import what tests hand them from here.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    connect(2)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def viewed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store whose run MLflow shows, made once; tests may add to it, and rely only on the run called tiny."""
    from viewed import make_viewed_store

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return make_viewed_store(tmp_path_factory.mktemp("viewed"))
