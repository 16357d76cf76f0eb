"""A driver whose shards keep a diary and whose store refuses some writes.

Start it with python -c 'import unreliable; unreliable.main()' CONFIG STORE. The diary is a file with one line
for each shard that begins or ends and for each refused write. Ray's workers must be able to import this
module.
"""

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jobs.session import Session, open_session, stream_of
from pipeline.core.errors import StoreError
from pipeline.data.examples import Examples
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import Task, compute_task, open_store, read_common
from pipeline.store.files import Files
from pipeline.store.files.wrapping import Wrapping
from pipeline.store.store import Store

T = TypeVar("T")
Note = Callable[[str, str], None]

# Environment variables: one write in so many is refused (0 for none), and the path of the diary.
ONE_IN, DIARY = "UNRELIABLE_ONE_IN", "UNRELIABLE_DIARY"
CHANCE = random.SystemRandom()


@dataclass(frozen=True)
class RefusingFiles(Wrapping):
    """Files that refuse one change in one_in."""

    inner: Files
    one_in: int
    note: Note

    def reading(self, act: Callable[[], T]) -> T:
        return act()

    def writing(self, act: Callable[[], T]) -> T:
        if CHANCE.randrange(self.one_in) == 0:
            self.note("refused", self.uri)
            raise StoreError(f"{self.uri} refuses a write, as it was told to")
        return act()


def main() -> None:
    """Run an experiment on Ray as far as it goes; exit with 0 if all of it is done."""
    given, store = sys.argv[1:]
    session = open_session(given, store=store)
    compute = partial(compute_unreliably, int(os.environ.get(ONE_IN, "0")), Path(os.environ[DIARY]))
    progress = Walk(
        session.graph, session.store, open_executor=partial(open_executor, session, compute)
    ).run()
    done = not progress.failures and all(progress.states[key].status == "done" for key in progress.wanted)
    sys.exit(0 if done else 1)


def open_executor(session: Session, compute: Callable[..., dict[str, Any]]) -> Any:
    """Return the executor of `dmm run` with another function for each shard."""
    from pipeline.execution.ray.streaming import StreamingExecutor

    return StreamingExecutor(compute, session.examples, prepare=read_common, stream=stream_of)


def compute_unreliably(
    one_in: int, diary: Path, task: Task, examples: Examples, device: str, common: Any = None
) -> dict[str, Any]:
    """Compute a shard on a store that refuses some writes, and note when the shard begins and ends."""
    note, shard = partial(write_down, diary), f"{task.folder} {task.start}-{task.stop}"

    def open_refusing(task: Task) -> Store:
        store = open_store(task)
        store.files = RefusingFiles(store.files, one_in, note)
        return store

    note("begun", shard)
    result = compute_task(task, examples, device, common, open_store=open_refusing if one_in else open_store)
    note("made" if result["made"] else "found", shard)
    return result


def write_down(diary: Path, event: str, subject: str) -> None:
    """Add a line to the diary.

    The lines are short, so lines of several processes do not mix.
    """
    with diary.open("a") as file:
        file.write(f"{event} {subject}\n")


def read_diary(diary: Path) -> dict[str, list[str]]:
    """Return the subjects of each kind of event."""
    lines = diary.read_text().splitlines() if diary.exists() else []
    return {
        event: [line.split(" ", 1)[1] for line in lines if line.startswith(f"{event} ")]
        for event in ("begun", "made", "found", "refused")
    }
