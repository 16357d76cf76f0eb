"""`dmm` whose shards keep a diary and whose store refuses a write now and then: python -c 'import unreliable; unreliable.main()' run CONFIG …

The diary is a file of its own: a line when a shard is begun, one when it is made, one when a write is refused. It must be importable by Ray's workers.
"""

import errno
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

from jobs import cli, session
from pipeline.data.examples import Examples
from pipeline.runtime.files import open_files
from pipeline.stages.work import Task, compute_task

# Of so many writes one is refused; 0 for none.
ONE_IN, DIARY = "UNRELIABLE_ONE_IN", "UNRELIABLE_DIARY"


def main() -> None:
    session.compute_task = partial(compute_unreliably, int(os.environ.get(ONE_IN, "0")), Path(os.environ[DIARY]))
    cli.main()


def compute_unreliably(one_in: int, diary: Path, task: Task, examples: Examples, device: str, common: Any = None) -> dict[str, Any]:
    """Compute a shard as `dmm` does, and write down that it was begun and made."""
    note = partial(write_down, diary)
    if one_in:
        refuse_writes(one_in, note)
    note("begun", f"{task.folder} {task.start}-{task.stop}")
    result = compute_task(task, examples, device, common)
    note("made" if result["made"] else "found", f"{task.folder} {task.start}-{task.stop}")
    return result


def refuse_writes(one_in: int, note: Any) -> None:
    """Let this process's store refuse one write in so many, whichever kind of storage it is."""
    storage: Any = type(open_files("."))
    if hasattr(storage, "refuses"):
        return
    write, chance = storage.write, random.SystemRandom()

    def write_or_refuse(files: Any, path: str, content: bytes) -> None:
        if chance.randrange(one_in) == 0:
            note("refused", path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        write(files, path, content)

    storage.write, storage.refuses = write_or_refuse, True


def write_down(diary: Path, what: str, about: str) -> None:
    """Add a line to the diary; short lines of many processes do not mix."""
    with diary.open("a") as file:
        file.write(f"{what} {about}\n")


def read_diary(diary: Path) -> dict[str, list[str]]:
    """Return what was written down, by kind."""
    lines = diary.read_text().splitlines() if diary.exists() else []
    return {kind: [line.split(" ", 1)[1] for line in lines if line.startswith(f"{kind} ")] for kind in ("begun", "made", "found", "refused")}
