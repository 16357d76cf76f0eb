"""The check that the files of a table are intact; it reads all their bytes."""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import CorruptShardError, StoreAwayError, StoreError
from pipeline.core.fingerprint import digest_bytes
from pipeline.store.files import TEMPORARY, Files, each
from pipeline.store.parquet import read_about
from pipeline.store.rows import counts_of
from pipeline.store.shards import ShardName, parse_names, stem_of_beside


@dataclass(frozen=True)
class Problem:
    """A file of a table that is corrupt, damaged, foreign or half-written.

    range: the units to compute again if the file is a shard, or a kept file such as weights beside one; else
    None. is_young: the file may belong to a shard that is not listed yet.
    """

    path: str
    reason: str
    range: tuple[int, int] | None = None
    is_young: bool = False


def check_table(files: Files, folder: str, *, known: str, settled: float = math.inf) -> list[Problem]:
    """Return every file in folder that is corrupt, foreign or half-written.

    The file called known belongs to every table. settled is a time as in Files.modified. A file that belongs
    to no shard and was written later is young: its writer may still be working.
    """
    names = files.names(folder)
    shards = parse_names(names)
    problems, expected = [], {known}
    for shard, (blobs, problem) in zip(
        shards, each(files, lambda shard: _check_shard(files, folder, shard, names), shards), strict=True
    ):
        expected |= {str(shard), f"{shard.stem}.json"} | blobs
        problems += [problem] if problem else []
    by_stem = {shard.stem: shard for shard in shards}
    beside = [
        (by_stem[stem], name)
        for name in names
        if (stem := stem_of_beside(name)) in by_stem and stem is not None
    ]
    expected |= {name for _, name in beside}
    problems += [
        problem
        for problem in each(files, lambda pair: _check_beside(files, folder, *pair), beside)
        if problem is not None
    ]
    notes = [f"{folder}/{name}" for name in sorted(expected & set(names)) if name.endswith(".json")]
    damaged = each(files, lambda path: _damaged_note(files, path), notes)
    problems += [problem for problem in damaged if problem is not None]
    loose = [f"{folder}/{name}" for name in sorted(set(names) - expected)]
    young = each(files, lambda path: is_young(files, path, settled), loose)
    return problems + [
        Problem(path, _kind(path), is_young=new) for path, new in zip(loose, young, strict=True)
    ]


def is_young(files: Files, path: str, settled: float) -> bool:
    """Return whether a file was written after settled, or does not exist any more.

    In the second case its writer has just renamed or removed it.
    """
    if settled == math.inf:
        return False
    try:
        return files.modified(path) > settled
    except StoreAwayError:
        raise
    except StoreError:
        return True


def _damaged_note(files: Files, path: str) -> Problem | None:
    """Return a problem if a JSON file beside shards holds no JSON object, else None.

    No result depends on such a file.
    """
    try:
        is_sound = isinstance(json.loads(files.read(path)), dict)
    except StoreAwayError:
        raise
    except (StoreError, ValueError, RecursionError):
        is_sound = False
    return (
        None if is_sound else Problem(path, "damaged: it is not a JSON object; results do not depend on it")
    )


def _kind(path: str) -> str:
    half = path.rpartition("/")[-1].startswith(TEMPORARY)
    return "half-written: left by a killed writer" if half else "foreign: no shard of this table refers to it"


def owned(about: dict[str, Any], folder: str, shard: ShardName) -> dict[str, Any]:
    """Return about, the header of a shard, if it fits the shard.

    Raises CorruptShardError if the header names another folder, unit or range, or if it lacks summary, blobs
    or columns.
    """
    if (about.get("folder"), about.get("unit"), about.get("start"), about.get("stop")) != (
        folder,
        shard.unit,
        shard.start,
        shard.stop,
    ):
        raise CorruptShardError(
            f"{folder}/{shard} is foreign: its header names {about.get('folder')} "
            f"{about.get('start')}-{about.get('stop')}; run `dmm verify --repair`"
        )
    if not all(isinstance(about.get(part), dict) for part in ("summary", "blobs", "columns")):
        raise CorruptShardError(
            f"{folder}/{shard} has an incomplete header (expected summary, blobs and columns); run "
            "`dmm verify --repair`"
        )
    return about


def _check_shard(
    files: Files, folder: str, shard: ShardName, names: Sequence[str]
) -> tuple[set[str], Problem | None]:
    """Return the names of a shard's blobs, and the problem with the shard or its blobs, or None.

    The names are empty if there is a problem. A store that is away is no problem of the shard, so
    StoreAwayError is raised.
    """
    try:
        about = _checked(files, folder, shard)
        blobs = {shard.blob(ending, value): value for ending, value in about["blobs"].items()}
        for name, value in blobs.items():
            if name not in names or digest_bytes(files.read(f"{folder}/{name}")) != value:
                raise CorruptShardError(f"its {name} is missing or has changed")
    except StoreAwayError:
        raise
    except StoreError as error:
        return set(), Problem(f"{folder}/{shard}", str(error), (shard.start, shard.stop))
    return set(blobs), None


def _check_beside(files: Files, folder: str, shard: ShardName, name: str) -> Problem | None:
    """Return a problem if a file beside a shard does not have the digest in its name, else None.

    The problem has the units of the shard: they are computed again when the file has been moved aside.
    """
    path = f"{folder}/{name}"
    if digest_bytes(files.read(path)) == name.split(".")[2]:
        return None
    return Problem(path, "corrupt: its digest is not the one of its name", (shard.start, shard.stop))


def _checked(files: Files, folder: str, shard: ShardName) -> dict[str, Any]:
    content = files.read(f"{folder}/{shard}")
    if digest_bytes(content) != shard.digest:
        raise CorruptShardError(
            f"corrupt: the digest of its {len(content)} bytes is not {shard.digest}, the one in its name"
        )
    about = owned(read_about(io.BytesIO(content), f"{folder}/{shard}"), folder, shard)
    counts_of(about, shard.stop - shard.start, f"{folder}/{shard}")
    return about
