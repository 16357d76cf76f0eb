"""Files whose names contain the number of their model."""

import functools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from pipeline.core.errors import DataError

# Placeholder of the model's number in a pattern.
ID = "{id}"
# The numbers of forget sets in the names of files, by their labels in the experiment.
ForgetSetNumbers: TypeAlias = dict[str, Annotated[int, Field(ge=0, le=1_000_000)]]


def numbered(folder: Path, pattern: str) -> Mapping[int, Path]:
    """Return the files below folder that match pattern, by the number of their model, ascending.

    pattern is a path below folder in which {id} stands once, for decimal digits. A process lists an unchanged
    folder only once. A folder that does not exist holds no files. Raises DataError if two files have the same
    number, such as 7 and 07.
    """
    before, named, after = _split(pattern)
    where = folder / before
    try:
        modified = where.stat().st_mtime_ns
    except OSError:
        return {}
    found = _listed(where, named, modified)
    return {number: where / name / after if after else where / name for number, name in found.items()}


def check_pattern(pattern: str) -> None:
    """Raise DataError unless pattern contains {id} exactly once."""
    if pattern.count(ID) != 1:
        raise DataError(
            f"{pattern!r} names {pattern.count(ID)} places for {ID}; expected one, such as id_{ID}.pt"
        )


def same_numbers(files: Mapping[str, Mapping[int, Path]], remedy: str) -> list[int]:
    """Return the numbers of the models, ascending, after a check that each model has every kind of file.

    files maps the name of a kind to its files by number. Raises DataError with the first model that lacks a
    kind; the message ends with remedy.
    """
    everywhere = set.intersection(*(set(found) for found in files.values()))
    for kind, found in files.items():
        for other, others in files.items():
            lost = sorted(found.keys() - others.keys())
            if lost:
                raise DataError(
                    f"model {lost[0]} has {kind} ({found[lost[0]]}) but no {other} (there are "
                    f"{len(found)} and {len(others)}); {remedy}"
                )
    return sorted(everywhere)


def _split(pattern: str) -> tuple[str, str, str]:
    """Return the parts of a pattern's path before the name with {id}, that name, and the parts after it."""
    check_pattern(pattern)
    parts: Sequence[str] = pattern.split("/")
    place = next(number for number, part in enumerate(parts) if ID in part)
    return "/".join(parts[:place]), parts[place], "/".join(parts[place + 1 :])


@functools.lru_cache(maxsize=256)
def _listed(folder: Path, named: str, modified: int) -> Mapping[int, str]:
    start, end = map(re.escape, named.split(ID))
    name_of = re.compile(f"{start}([0-9]+){end}")
    found: dict[int, str] = {}
    for name in sorted(os.listdir(folder)):
        match = name_of.fullmatch(name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise DataError(
                f"{folder / found[number]} and {name} both belong to model {number}; leave one of them in "
                "the folder"
            )
        found[number] = name
    return {number: found[number] for number in sorted(found)}
