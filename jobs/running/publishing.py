"""Pages and pictures under names that are easy to find.

They go to the store, or to the current folder if the store is read-only.
"""

from pathlib import Path

from rich.console import Console

from pipeline.core.errors import DataError, StoreAwayError, StoreError
from pipeline.store.store import Store


def publish_file(store: Store, name: str, content: bytes, screen: Console) -> str:
    """Write content under name to the root of the store, and return its location.

    If the store cannot be written, the file goes to the current folder, and screen shows where. Raises
    DataError if this folder cannot be written either, and StoreAwayError if the store does not answer now.
    """
    files = store.files
    try:
        if name in files.names("") and files.read(name) == content:
            return files.location(name)
        files.write(name, content)
        return files.location(name)
    except StoreAwayError:
        raise
    except StoreError as refused:
        place = Path(name).resolve()
        write_file(place, content)
        reason = str(refused).partition(";")[0]
        screen.print(f"{reason}; it is at {place} instead", style="yellow", soft_wrap=True)
        return str(place)


def write_file(path: Path, content: bytes) -> None:
    """Write a file of the user's choice; raises DataError if that fails."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}); choose a place that can be written"
        ) from error
