"""Finds paths among settings, and makes them absolute for workers.

A setting is a path if its value is a pathlib.Path. Text that happens to name a file is not a path.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def paths_in(value: Any) -> Iterator[Path]:
    """Yield every path among the settings below value."""
    if isinstance(value, Path):
        yield value
    for part in parts_of(value):
        yield from paths_in(part)


def parts_of(value: Any) -> list[Any]:
    """Return the settings directly below value."""
    if isinstance(value, BaseModel):
        return [getattr(value, name) for name in type(value).model_fields]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return list(value.values())
    # A set is sorted, because its order differs between processes.
    return (
        sorted(value, key=str)
        if isinstance(value, Set)
        else list(value)
        if isinstance(value, tuple | list)
        else []
    )


def is_there(path: Path) -> bool:
    """Return whether a file or folder exists at path; False if the text cannot be a path at all."""
    try:
        return path.exists()
    except OSError:
        return False


def why_no_file(path: Path) -> str | None:
    """Return the reason why no file can be read at path, in words; None if there is a file."""
    try:
        if path.is_file():
            return None
        if path.is_dir():
            return "is a folder"
        if path.exists():
            return "is not a regular file"
        return "is a link that leads to no file" if path.is_symlink() else "does not exist"
    except OSError as error:
        return f"cannot be opened ({error.strerror})"


def expanded(path: Path) -> Path:
    """Return path with `~` and environment variables expanded; a relative path stays relative."""
    return Path(os.path.expanduser(os.path.expandvars(path)))


def with_absolute_paths(settings: M) -> M:
    """Return settings with all paths expanded and absolute, as this process resolves them.

    A process in another folder, such as a Ray worker, then opens the same files.
    """
    found: M = _absolute(settings)
    return found


def _absolute(value: Any) -> Any:
    if isinstance(value, Path):
        return expanded(value).absolute()
    if not any(paths_in(value)):
        return value
    if isinstance(value, BaseModel):
        return value.model_copy(
            update={name: _absolute(getattr(value, name)) for name in type(value).model_fields}
        )
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value,
            **{field.name: _absolute(getattr(value, field.name)) for field in dataclasses.fields(value)},
        )
    if isinstance(value, Mapping):
        return {key: _absolute(part) for key, part in value.items()}
    # The constructor of a named tuple takes each part as an argument of its own; `_make` takes an iterable.
    return getattr(value, "_make", type(value))(map(_absolute, value))
