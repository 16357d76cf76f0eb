"""Creates MLflow's SQLite database completely or not at all.

A process that is killed while MLflow creates the tables leaves no half-made database behind.
"""

import os
import uuid
from pathlib import Path

from mlflow import MlflowClient

SQLITE = "sqlite:///"


def create_database(uri: str) -> None:
    """Create the SQLite database at uri with all of MLflow's tables, unless it exists.

    Any other address is ignored. MLflow needs about two seconds to create the tables, and it can never open a
    database whose creation was interrupted. So the tables are created in a file with another name, which is
    renamed when it is complete. Raises the errors of MLflow, and OSError.
    """
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE).partition("?")[0])
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        MlflowClient(f"{SQLITE}{unfinished}").search_experiments(max_results=1)
        _publish(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _publish(unfinished: Path, path: Path) -> None:
    """Give a finished database its name; if another process has made one meanwhile, keep that one."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    except OSError:
        # This file system has no hard links.
        unfinished.replace(path)
