"""Writes results as files in the forms that MLflow's UI can show.

Content that is too large is replaced by a small JSON file with its address, size and digest. So no upload
takes long.
"""

import csv
import hashlib
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.fingerprint import DIGEST_LENGTH
from pipeline.results.tracked import Results

_Rows = Sequence[Mapping[str, Any]]


def write_artifacts(results: Results, folder: Path, *, max_bytes: int) -> list[str]:
    """Write tables, figures and files of results below folder.

    Returns the paths of the tables that the UI can show. An empty table is left out.
    """
    shown = []
    for name, rows in results.tables.items():
        if rows:
            _write(folder, f"tables/{name}.csv", table_csv(rows).encode(), max_bytes)
            if _write(folder, f"tables/{name}.json", table_json(rows).encode(), max_bytes):
                shown.append(f"tables/{name}.json")
    for name, png in results.figures.items():
        _write(folder, f"figures/{name}.png", png, max_bytes)
    for name, content in results.files.items():
        _write(folder, name, content, max_bytes)
    return shown


def table_csv(rows: _Rows) -> str:
    """Return rows as CSV.

    The columns are all keys in the order of their first appearance. A missing value is an empty cell.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: _plain(value) for column, value in row.items()} for row in rows)
    return text.getvalue()


def table_json(rows: _Rows) -> str:
    """Return rows in the JSON form of MLflow's tables; a missing or non-finite value is null."""
    columns = _columns(rows)
    data = [[_finite(_plain(row.get(column))) for column in columns] for row in rows]
    return json.dumps({"columns": columns, "data": data}, allow_nan=False)


def _write(folder: Path, name: str, content: bytes | Path, max_bytes: int) -> bool:
    """Write content, or a reference to it if it exceeds max_bytes; return whether content was written."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    n_bytes = content.stat().st_size if isinstance(content, Path) else len(content)
    if n_bytes > max_bytes:
        path.with_name(f"{path.name}.reference.json").write_text(
            json.dumps(_reference(content, n_bytes), indent=2)
        )
    elif isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
    return n_bytes <= max_bytes


def _reference(content: bytes | Path, n_bytes: int) -> dict[str, Any]:
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LENGTH]
    return {
        "uri": content.resolve().as_uri() if isinstance(content, Path) else None,
        "bytes": n_bytes,
        "digest": digest,
    }


def _columns(rows: _Rows) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
