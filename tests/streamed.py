"""Work for streaming, in a module that Ray workers can import: a task is (what to do, where)."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.core.errors import StoreUnseenError
from pipeline.execution.ray import streaming as ray_blocks

DRIVE = ray_blocks._drive


def prepare(task: tuple[str, str], shared: Any, device: str) -> str:
    """Count the times that this is called, and fail if the folder says so."""
    folder = Path(task[1])
    (folder / f"prepared-{os.urandom(4).hex()}").touch()
    if (folder / "unprepared").exists():
        raise ValueError("nothing in common")
    return "common"


def work(task: tuple[str, str], shared: Any, device: str, common: str = "alone") -> list[str]:
    """Return what was given, unless the task is poisoned or deadly."""
    what, folder = task
    if what.startswith("poisoned"):
        raise ValueError(f"{what} cannot be done")
    if what.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if what.startswith("mortal") and not (Path(folder) / what).exists():
        (Path(folder) / what).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [what, shared, device, common]


def unseen(task: tuple[str, str], shared: Any, device: str) -> None:
    """Find that the store is not to be seen here."""
    raise StoreUnseenError("node a does not see the store")


def folder_of(task: tuple[str, str]) -> str | None:
    """Return what tasks have in common."""
    return None if task[0].startswith("single") else task[1]


def drive_that_dies(function: Any, tasks: Any, need: Any, held: Any) -> Iterator[Any]:
    """Drive a pipeline, but die after two rows the first time."""
    marker = Path(next(iter(tasks.values()))[1]) / "died"
    for number, row in enumerate(DRIVE(function, tasks, need, held)):
        if number == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield row
