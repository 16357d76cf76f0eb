"""Shards that were given up: kept in the store as readable notes, so that any machine can name them.

They decide nothing: the next run tries again.
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
    """Units start to stop of a node that could not be made, after how many tries.

    N_lost counts those that ended with their machine.
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
    """Leave a note of a failed shard, in place of an earlier one.

    Where the store takes no note either, the run still tells.
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
    """Return the shards of nodes that were given up and whose units are still missing.

    Notes on what exists by now are passed over.
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
    """Yield what notes tell of the node called key, whose table has these shards.

    Notes on what exists by now are passed over.
    """
    folder = f"{ROOT}/{table}"
    for name in store.files.names(folder):
        match = _NAME.fullmatch(name)
        start, stop = (int(match["start"]), int(match["stop"])) if match else (0, 0)
        if match and not is_covered(shards, start, stop):
            yield _read(store, f"{folder}/{name}", key, start, stop)


def _read(store: Store, path: str, key: str, start: int, stop: int) -> Failure:
    """Return what a note tells, as far as it can be read.

    Whoever asks for the status must not fail over it.
    """
    try:
        note = json.loads(store.files.read(path))
        told: dict[str, Any] = {name: kind(note[name]) for name, kind in TOLD.items()}
    except (StoreError, ValueError, TypeError, KeyError):
        told = {"error": f"the note at {path} cannot be read"}
    return Failure(key=key, start=start, stop=stop, **told)
