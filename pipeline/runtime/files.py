"""Bytes by path, the one door to storage: what an object store must offer to hold a run. Local folders today."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from pipeline.core.errors import ConfigError, StoreError

TEMPORARY = ".half-written-"


@runtime_checkable
class Files(Protocol):
    """A tree of files under one root; paths are relative, with forward slashes. Writes appear whole or not at all."""

    @property
    def uri(self) -> str:
        """The root, absolute."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in folder, files and folders; none if it does not exist."""
        ...

    def read(self, path: str) -> bytes:
        """Return the whole content of a file; raises StoreError if it cannot be read."""
        ...

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        ...

    def local_path(self, path: str) -> str:
        """Return what a reader of single columns opens."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Put content at path, atomically, replacing what is there."""
        ...

    def create(self, path: str, content: bytes) -> bool:
        """Put content at path unless something is there; return whether this call was the one that did."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename a file; raises StoreError if that fails."""
        ...


@dataclass(frozen=True)
class LocalFiles:
    """Files in a local or mounted folder."""

    uri: str

    def names(self, folder: str) -> list[str]:
        """See Files."""
        try:
            return sorted(os.listdir(self._path(folder)))
        except FileNotFoundError:
            return []

    def read(self, path: str) -> bytes:
        """See Files."""
        try:
            return self._path(path).read_bytes()
        except OSError as error:
            raise StoreError(f"{self._path(path)} cannot be read ({error.strerror}); check that the store is mounted and permits reading") from error

    def size(self, path: str) -> int:
        """See Files."""
        return self._path(path).stat().st_size

    def local_path(self, path: str) -> str:
        """See Files."""
        return str(self._path(path))

    def write(self, path: str, content: bytes) -> None:
        """See Files."""
        with self._temporary(path, content) as temporary:
            os.replace(temporary, self._path(path))

    def create(self, path: str, content: bytes) -> bool:
        """See Files."""
        with self._temporary(path, content) as temporary:
            try:
                os.link(temporary, self._path(path))
            except FileExistsError:
                return False
        return True

    def move(self, path: str, to: str) -> None:
        """See Files."""
        try:
            self._path(to).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._path(path), self._path(to))
        except OSError as error:
            raise StoreError(f"{self._path(path)} cannot be moved to {to} ({error.strerror}); another process may have moved it: look again") from error

    def _path(self, path: str) -> Path:
        root = Path(self.uri)
        found = root / path
        if ".." in Path(path).parts or Path(path).is_absolute():
            raise StoreError(f"path {path!r} leaves the store {self.uri}; give one inside it")
        return found

    @contextlib.contextmanager
    def _temporary(self, path: str, content: bytes) -> Iterator[Path]:
        """Yield a synced file beside path, under a name of its own so that a crash never blocks the retry; it is gone afterwards."""
        final = self._path(path)
        temporary = final.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        except OSError as error:
            raise StoreError(
                f"{final} cannot be written ({error.strerror}); free space or fix permissions, then run again: nothing written so far is lost"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def open_files(uri: str) -> Files:
    """Return the files at uri, a folder on this machine or a mounted one; raises ConfigError for schemes that are not supported."""
    if "://" in uri and not uri.startswith("file://"):
        raise ConfigError(f"store {uri!r}: only folders are supported so far; give a path that all workers mount")
    return LocalFiles(str(Path(uri.removeprefix("file://")).expanduser().resolve()))
