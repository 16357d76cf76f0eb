"""What all tests share: a tiny experiment that runs in a second, and the one Ray session of the whole run."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from jobs.session import Session, check
from pipeline import config
from pipeline.blueprint import build_graph
from pipeline.run import Progress, Walk
from pipeline.runtime.execution import SerialExecutor
from pipeline.runtime.store import Store
from pipeline.stages.work import compute_task

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "planted", "n_train": 60, "n_validation": 20, "label_noise": {"n_points": 4}},
    "model": {"name": "mlp", "width": 8},
    "recipe": {"epochs": 2, "batch_size": 10, "learning_rate": 0.1, "ensemble": "stacked"},
    "populations": {
        "subset": {"n_models": 20, "keep_fraction": 0.5},
        "heldout": {"n_models": 6},
        "full": {"n_models": 6},
        "oracle": {"n_models": 6},
        "floor": {"n_models": 6},
    },
    "forget_sets": {"some": {"name": "random", "n_points": 5}, "wrong": {"name": "mislabelled"}},
    "unlearners": {"nothing": "no_op", "dmm": {"name": "dmm", "retain_points": 10, "epochs": 2}, "ascent": {"name": "gradient_ascent", "epochs": 2}},
    "evaluation": {"n_resamples": 20},
    "store": {"shard_members": 5, "layout": {"block_points": 30}},
    "tracking": {"uri": "none"},
}


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


def run_serially(session: Session, **options: Any) -> Progress:
    """Compute what is missing in this process."""

    def executor() -> SerialExecutor:
        return SerialExecutor(lambda task, device: compute_task(task, session.examples, device))

    return Walk(session.graph, session.store, open_executor=executor, **options).run()


def statuses(session: Session) -> dict[str, str]:
    """Return the status of every node."""
    return {key: state.status for key, state in session.graph.survey(session.store).items()}


def tables(root: Path | str) -> set[str]:
    """Return the names of all shards below a store's root; each carries the digest of its bytes."""
    return {str(path.relative_to(root)) for path in Path(root).glob("*/*/*/*.parquet") if "quarantine" not in path.parts}


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray on this machine, once for the whole run."""
    import ray

    from pipeline.runtime.ray_tasks import connect

    connect(2)
    yield
    ray.shutdown()
