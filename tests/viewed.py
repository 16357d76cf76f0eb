"""The tiny experiment with its view in MLflow: interrupted, resumed, and run once more when done."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from tiny import TINY, StoppingExecutor

from jobs.running.experiment_run import RunResult, run_experiment
from jobs.session import Session, open_session
from pipeline.execution.walk import Walk
from pipeline.tracking.listener import open_view
from pipeline.tracking.mirror import MirrorPatience

UNLEARNERS = {**TINY["unlearners"], "bound": {"name": "oracle_matching", "retain_points": 10, "epochs": 2}}


def run(session: Session) -> RunResult:
    return run_experiment(session, Console(quiet=True), executor="serial")


def make_viewed_store(folder: Path) -> Path:
    """Return the store, which holds MLflow's database; tiny.yaml lies beside it."""
    (folder / "tiny.yaml").write_text(json.dumps({**TINY, "unlearners": UNLEARNERS, "tracking": {}}))
    config, store = str(folder / "tiny.yaml"), str(folder / "store")
    stopped = open_session(config, (), store)
    view = open_view(stopped.graph, stopped.store, warn=pytest.fail, patience=MirrorPatience(killed=60.0))
    walk = Walk(
        stopped.graph, stopped.store, open_executor=lambda: StoppingExecutor(stopped, 7), listeners=[view]
    )
    with pytest.raises(KeyboardInterrupt):
        walk.run()
    view.end("KILLED", walk.progress)
    for _ in range(2):
        run(open_session(config, (), store))
    return folder / "store"
