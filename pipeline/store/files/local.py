"""Files in a folder of this machine or of a mount."""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from pipeline.core.errors import StoreAwayError, StoreError
from pipeline.store.files.base import TEMPORARY, Files, checked

# Errors of a mount while its server restarts or its network is down; they pass by themselves. A full disk and
# a missing permission do not.
PASSING = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
    }
)
# Errors of file systems without hard links, such as exFAT and many FUSE mounts.
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
READ_REMEDY = "check that the store is mounted and permits reading"
WRITE_REMEDY = "free space or fix permissions, then run again: nothing written so far is lost"


@dataclass(frozen=True)
class LocalFiles(Files):
    """Files in a local or mounted folder."""

    root: str
    at_once: ClassVar[int] = 1

    @property
    @override
    def uri(self) -> str:
        return self.root

    @override
    def location(self, path: str) -> str:
        return str(self._path(path))

    @override
    def names(self, folder: str) -> list[str]:
        place = self._path(folder) if folder else Path(self.uri)
        with _boundary(place, "listed", READ_REMEDY):
            try:
                return sorted(os.listdir(place))
            except FileNotFoundError:
                return []
            except NotADirectoryError:
                # A file that somebody left among folders counts as an empty folder, as on an object store. A
                # root that is a file is a mistake.
                if folder and place.is_file():
                    return []
                raise

    @override
    def read(self, path: str) -> bytes:
        place = self._path(path)
        with _boundary(place, "read", READ_REMEDY):
            return place.read_bytes()

    @override
    def size(self, path: str) -> int:
        place = self._path(path)
        with _boundary(place, "read", READ_REMEDY):
            return place.stat().st_size

    @override
    def modified(self, path: str) -> float:
        place = self._path(path)
        with _boundary(place, "read", READ_REMEDY):
            return place.stat().st_mtime

    @override
    def read_range(self, path: str, start: int, stop: int) -> bytes:
        place, parts = self._path(path), []
        with _boundary(place, "read", READ_REMEDY), _descriptor(place) as file:
            # The operating system returns at most 2 GiB at a time.
            while start < stop and (part := os.pread(file, stop - start, start)):
                parts.append(part)
                start += len(part)
        return b"".join(parts)

    @override
    def write(self, path: str, content: bytes, *, durable: bool = True) -> None:
        with self._temporary(path, content, durable=durable) as temporary:
            os.replace(temporary, self._path(path))

    @override
    def create(self, path: str, content: bytes) -> bool:
        with self._temporary(path, content) as temporary:
            try:
                os.link(temporary, self._path(path))
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                return self._create_in_place(path, content)
        return True

    @override
    def move(self, path: str, to: str) -> None:
        with _boundary(
            self._path(path), f"moved to {to}", "another process may have moved it, so run the command again"
        ):
            self._check_inside(path)
            self._check_inside(to)
            self._path(to).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._path(path), self._path(to))

    def _create_in_place(self, path: str, content: bytes) -> bool:
        """Create a file under its final name, on a file system without hard links.

        Only one of many processes can create the file, but a reader may see a part of the content. The risk
        is low, because such files are small.
        """
        final = self._path(path)
        try:
            with open(final, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
        except OSError:
            final.unlink(missing_ok=True)
            raise
        return True

    def _check_inside(self, path: str) -> None:
        """Raise StoreError if a link below the root leads out of it.

        Otherwise `dmm verify --repair` would move files that do not belong to the store.
        """
        folder, root = self._path(path).parent.resolve(), Path(self.uri).resolve()
        if not folder.is_relative_to(root):
            raise StoreError(
                f"path {path!r} leaves the store {self.uri} by a link to {folder}; replace the link by "
                "the folder itself, or remove it"
            )

    def _path(self, path: str) -> Path:
        return Path(self.uri) / checked(path, self.uri)

    @contextlib.contextmanager
    def _temporary(self, path: str, content: bytes, *, durable: bool = True) -> Iterator[Path]:
        """Yield a temporary file beside path that holds content; it is deleted afterwards.

        With durable, the file is synced to disk. Its name is unique, so a file that a crash left behind never
        blocks the retry.
        """
        final = self._path(path)
        temporary = final.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            with _boundary(final, "written", WRITE_REMEDY):
                final.parent.mkdir(parents=True, exist_ok=True)
                with open(temporary, "xb") as file:
                    file.write(content)
                    file.flush()
                    if durable:
                        os.fsync(file.fileno())
                yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def _descriptor(place: Path) -> Iterator[int]:
    file = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def _boundary(place: Path, verb: str, remedy: str) -> Iterator[None]:
    """Turn errors of the operating system into StoreAwayError if waiting helps, else into StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in PASSING:
            raise StoreAwayError(f"{place} cannot be {verb} ({error.strerror})") from error
        raise StoreError(f"{place} cannot be {verb} ({error.strerror}); {remedy}") from error
