"""The only access to storage: files by path, with folders and object stores behind one interface."""

import os
import re
from pathlib import Path

from pipeline.core.errors import ConfigError
from pipeline.store.files.base import TEMPORARY, Files, RangeFile, each
from pipeline.store.files.local import LocalFiles
from pipeline.store.files.mounted import MarkedFiles
from pipeline.store.files.retrying import PATIENCE, PatientFiles

__all__ = [
    "TEMPORARY",
    "Files",
    "PatientFiles",
    "RangeFile",
    "check_place",
    "each",
    "local_folder",
    "open_files",
    "patience_seconds",
]

# The most bytes in one name of a path, on every common file system.
_LONGEST_NAME = 255
PATIENCE_VARIABLE = "DMM_STORE_PATIENCE"


def open_files(uri: str, *, mark: str | None = None) -> Files:
    """Return the files at uri; they wait for a store that goes away for a while.

    uri is a folder or a place in an object store, such as s3://bucket/prefix. With mark, a folder without
    that mark counts as away. Raises ConfigError for a uri that names no such place, holds credentials, or
    needs a package that is not installed. No request is sent to an object store yet.
    """
    folder = local_folder(uri)
    inner: Files
    if folder is None:
        # Imported here, so that only users of an object store pay for the import of fsspec.
        from pipeline.store.files.objects import ObjectFiles

        inner = ObjectFiles.at(uri)
    else:
        inner = LocalFiles(str(folder)) if mark is None else MarkedFiles(LocalFiles(str(folder)), mark)
    return PatientFiles(inner, patience_seconds())


def check_place(uri: str) -> None:
    """Raise ConfigError if no store can lie at uri: a file is there, or a name in the path is too long."""
    folder = local_folder(uri)
    if folder is None:
        return
    longest = max((len(os.fsencode(part)) for part in folder.parts), default=0)
    if longest > _LONGEST_NAME:
        raise ConfigError(
            f"store {uri[:60]!r}… contains a name of {longest} bytes, but file systems allow at "
            f"most {_LONGEST_NAME}; choose a shorter name"
        )
    try:
        is_other = folder.exists() and not folder.is_dir()
    except OSError:
        # The place cannot be inspected; the first read or write reports why.
        return
    if is_other:
        raise ConfigError(f"store {uri!r} is not a folder; give the path of a folder, which may be new")


def local_folder(uri: str) -> Path | None:
    """Return the folder on this machine that uri names, or None if it is in an object store.

    Raises ConfigError if uri could mean either of them, or cannot be a path.
    """
    if "://" in uri and not uri.startswith("file://"):
        return None
    slip = re.match(r"[a-z0-9]+:/", uri)
    if slip and not re.match(r"file:///", uri):
        raise ConfigError(
            f"store {uri!r} is neither a folder nor a place in an object store; expected /a/folder, "
            "file:///a/folder or s3://bucket/prefix"
        )
    try:
        return Path(os.path.expanduser(uri.removeprefix("file://"))).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"store {uri!r} is not the path of a folder ({error}); give another path"
        ) from error


def patience_seconds() -> float:
    """Return how many seconds to wait for a store that does not answer.

    The environment variable DMM_STORE_PATIENCE replaces the default. Raises ConfigError if its value is not a
    number of seconds.
    """
    text = os.environ.get(PATIENCE_VARIABLE, str(PATIENCE))
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ConfigError(f"{PATIENCE_VARIABLE} is {text!r}; expected seconds, such as {PATIENCE:.0f}")
    return float(text)
