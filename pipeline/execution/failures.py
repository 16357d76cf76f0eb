"""Notes in the store on shards that were given up, so that any machine can list them.

They have no effect on a run: the next run tries these shards again.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.graph.graph import NodeState
from pipeline.store.shards import ShardName, is_covered
from pipeline.store.store import Store

ROOT = "failures"
TOLD = {"error": str, "trace": str, "tries": int, "n_lost": int, "host": str}
_NAME = re.compile(r"[a-z]+-(?P<start>\d{6,})-(?P<stop>\d{6,})\.json")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Units start to stop (excluded) of the node called key, which were given up.

    tries counts the attempts. Attempts that ended because the machine went away are counted in n_lost
    instead. host is the machine of the last attempt, empty if unknown.
    """

    key: str
    start: int
    stop: int
    error: str
    trace: str = ""
    tries: int = 0
    n_lost: int = 0
    host: str = ""


def write_failure(store: Store, folder: str, unit: str, failure: Failure) -> None:
    """Write a note of a failed shard; it replaces an earlier note.

    If the note cannot be written, no error is raised, because the run itself still reports the failure.
    """
    note = asdict(failure) | {"written_at": round(time.time(), 3)}
    try:
        store.files.write(
            f"{ROOT}/{folder}/{unit}-{failure.start:06d}-{failure.stop:06d}.json",
            json.dumps(note, indent=1, sort_keys=True).encode(),
        )
    except StoreError:
        return


def read_failures(store: Store, states: Iterable[NodeState]) -> list[Failure]:
    """Return the failures that notes in the store record for nodes that are not done.

    Notes on units that exist by now are skipped.
    """
    if ROOT not in store.files.names(""):
        return []
    unfinished = [state for state in states if state.folder is not None and state.status != "done"]
    return [
        failure
        for state in unfinished
        for failure in failures_of(
            store, state.node.key, state.table.folder, [piece.shard for piece in state.pieces]
        )
    ]


def failures_of(store: Store, key: str, table: str, shards: Sequence[ShardName]) -> Iterator[Failure]:
    """Yield the failures that notes in the store record for the node called key.

    table is the folder of the node, and shards are its finished shards. Notes on units that exist by now are
    skipped.
    """
    folder = f"{ROOT}/{table}"
    for name in store.files.names(folder):
        match = _NAME.fullmatch(name)
        start, stop = (int(match["start"]), int(match["stop"])) if match else (0, 0)
        if match and not is_covered(shards, start, stop):
            yield _read(store, f"{folder}/{name}", key, start, stop)


def _read(store: Store, path: str, key: str, start: int, stop: int) -> Failure:
    """Return the failure in a note, or one that says that the note cannot be read.

    The status command must not fail because of a damaged note.
    """
    try:
        note = json.loads(store.files.read(path))
        told: dict[str, Any] = {name: kind(note[name]) for name, kind in TOLD.items()}
    except (StoreError, ValueError, TypeError, KeyError):
        told = {"error": f"the note at {path} cannot be read"}
    return Failure(key=key, start=start, stop=stop, **told)
