"""A tiny experiment that runs in a second, and functions to run, inspect and disturb it."""

import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jobs.session import Session, check, graph_of
from pipeline import config
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.progress import Progress
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import compute_task
from pipeline.store.store import Store

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "planted", "n_train": 60, "n_validation": 20, "label_noise": {"n_points": 4}},
    "model": {"name": "mlp", "width": 8},
    "recipe": {"epochs": 2, "batch_size": 10, "learning_rate": 0.1, "ensemble": "stacked"},
    "populations": {
        "subset": {"n_models": 20, "keep_fraction": 0.5},
        "designed": {"n_models": 10, "keep_fraction": 0.7},
        "n_seeds": 4,
        "scout": {"n_models": 2},
        "heldout": {"n_models": 6},
        "full": {"n_models": 6},
        "oracle": {"n_models": 6},
        "floor": {"n_models": 6},
    },
    "forget_sets": {"some": {"name": "random", "n_points": 5}, "wrong": {"name": "mislabelled"}},
    "unlearners": {
        "nothing": "no_op",
        "dmm": {"name": "dmm", "retain_points": 10, "epochs": 2},
        "ascent": {"name": "gradient_ascent", "epochs": 2},
    },
    "judges": {"klom": {"n_resamples": 20}, "accuracy": {}},
    "store": {"shard_members": 5, "layout": {"block_points": 30}},
    "tracking": {"uri": "none"},
}


def open_at(store: Path | str, /, *overrides: str, **changes: Any) -> Session:
    """Return the tiny experiment on a store, with overrides as on the command line."""
    experiment = config.build(TINY | changes, overrides)
    examples = experiment.dataset.load()
    check(experiment, examples)
    return Session(experiment, examples, graph_of(experiment, examples), Store(str(store)))


def run_serially(session: Session, *, draws: bool = False, **options: Any) -> Progress:
    """Compute what is missing in this process.

    Without draws the report is an empty page, since drawing takes as long as all the rest.
    """

    def executor() -> SerialExecutor:
        return SerialExecutor(lambda task, device: compute_task(task, session.examples, device))

    walk = Walk(session.graph, session.store, open_executor=executor, **options)
    if draws:
        return walk.run()
    with (
        patch("pipeline.show.report.report_page.render", lambda *_: ""),
        patch("pipeline.show.report.report_figures.drawings", lambda _: {}),
    ):
        return walk.run()


def all_done(progress: Progress) -> bool:
    """Return whether everything that a run was to reach is there."""
    return not progress.failures and all(progress.states[key].status == "done" for key in progress.wanted)


def statuses(session: Session) -> dict[str, str]:
    """Return the status of every node."""
    return {key: state.status for key, state in session.graph.survey(session.store).items()}


def tables(root: Path | str) -> set[str]:
    """Return the names of all shards below a store's root; each carries the digest of its bytes."""
    return {
        str(path.relative_to(root))
        for path in Path(root).glob("*/*/*/*.parquet")
        if "quarantine" not in path.parts
    }


class StoppingExecutor(SerialExecutor):
    """A serial executor that is interrupted after some tasks."""

    def __init__(self, session: Session, n_tasks: int) -> None:
        super().__init__(lambda task, device: compute_task(task, session.examples, device))
        self._left = n_tasks

    def submit(self, task, need) -> None:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        super().submit(task, need)


def nothing(task: str, shared: None, device: str) -> None:
    return None


def fail(task: str, shared: None, device: str) -> None:
    raise ValueError(f"{task} is poisoned")


def die_once(task: str, shared: None, device: str) -> str:
    """Kill the own process if the file called task does not exist yet, else return its name."""
    if not Path(task).exists():
        Path(task).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task
