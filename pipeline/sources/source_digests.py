"""Digests of the files of sources, kept in this process so that no file is read twice.

Digests are looked up by the path, size and times of a file, so a file that changed is read again.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest, digest_files, version_of


class SourceDigests:
    """The digests of files that this process knows, by the key that `key_of` gives to a list of files.

    recall returns the digests that another process stored under a key, or None. It is set by
    pipeline.execution.stored_digests.
    """

    def __init__(self) -> None:
        self.recall: Callable[[str], Sequence[str] | None] = _recall_nothing
        # Digests that this process computed; pipeline.execution.stored_digests stores them.
        self.read: dict[str, list[str]] = {}
        self._known: dict[str, list[str]] = {}

    def of(self, files: Sequence[Path]) -> list[str]:
        """Return the digest of each file; raises OSError if one cannot be read."""
        key = key_of(files)
        if key not in self._known:
            recalled = self.recall(key)
            if recalled is None or len(recalled) != len(files):
                self.read[key] = recalled = [digest_files(file) for file in files]
            self._known[key] = list(recalled)
        return self._known[key]


def _recall_nothing(key: str) -> None:
    return None


SOURCE_DIGESTS = SourceDigests()


def file_digests(files: Iterable[Path]) -> list[str]:
    """Return the digest of each file; files whose size and times are known are not read again.

    Raises DataError if a file cannot be read.
    """
    found = list(files)
    try:
        return SOURCE_DIGESTS.of(found) if found else []
    except OSError as error:
        raise DataError(
            f"{error.filename} cannot be read ({error.strerror}); check that the folder is complete"
        ) from error


def grouped_digests(groups: Sequence[Sequence[Path]]) -> list[list[str]]:
    """Return the digests of the files of each group.

    Raises DataError if a file cannot be read.
    """
    flat = iter(file_digests(file for group in groups for file in group))
    return [[next(flat) for _ in group] for group in groups]


def key_of(files: Sequence[Path]) -> str:
    """Return a digest of the paths, sizes and times of files; raises OSError if a file does not exist."""
    return digest([[str(file.absolute()), *version_of(file)] for file in files])
