"""The store: tables as folders of shards.

A shard is done if and only if its file is listed. Its bytes are checked when they are read.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from pipeline.core.errors import CorruptShardError, MissingShardsError, StoreAwayError, StoreError
from pipeline.core.fingerprint import canonical, digest_bytes
from pipeline.store import rows
from pipeline.store.files import Files, RangeFile, check_place, each, local_folder, open_files
from pipeline.store.integrity import Problem, check_table, owned
from pipeline.store.marker import TRIED, claimed, try_writing
from pipeline.store.parquet import encode, read_about, read_columns
from pipeline.store.shards import Piece, ShardName, TableRef, cover, gaps, parse_names

__all__ = ["NODE_FILE", "QUARANTINE", "Problem", "Shard", "Store", "TableRef"]

NODE_FILE = "node.json"
QUARANTINE = "quarantine"
# Numbers of a side file that are used in calculations, and the bound below which they must lie. As seconds
# since 1970 this bound is beyond the year 5000.
MEASURED, LATEST = ("seconds", "threads", "written_at"), 1e11


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The content of one shard: columns, a JSON summary, blobs and files beside it.

    The first axis of each column is the rows, and all columns have equally many. blobs are parts of the shard
    that are written as files of their own, by the ending of the file. beside holds, by ending, files that may
    be left out, such as weights: the shard has the same bytes without them. rows_per_unit (n_units,) is the
    number of rows of each unit, in the order of the units; the last row of a unit is its result. Without it a
    shard of several units has one row for each, and a shard of one unit any number.
    """

    columns: Mapping[str, np.ndarray]
    summary: Mapping[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    beside: Mapping[str, bytes] = field(default_factory=dict)
    rows_per_unit: Sequence[int] | None = None


class Store:
    """Tables under one root, which any number of processes may use at the same time.

    mark is what `claim` returned, for example to another process. If it is given, a folder without this mark
    counts as away and not as empty.
    """

    def __init__(self, uri: str, *, mark: str | None = None) -> None:
        check_place(uri)
        self.files: Files = open_files(uri, mark=mark)

    @property
    def uri(self) -> str:
        """The absolute path or address of the root."""
        return self.files.uri

    @property
    def folder(self) -> Path | None:
        """The root as a folder of this machine, or None if it is in an object store."""
        return local_folder(self.uri)

    def claim(self) -> str:
        """Return the mark of the store; write it if there is none.

        The mark is a file in the root that distinguishes the store from a mount point without its mount.
        Raises StoreError if nothing can be written, or if the store lets two writers create the same file.
        """
        mark = claimed(self.files)
        self.files = open_files(self.uri, mark=mark)
        return mark

    def why_read_only(self) -> str | None:
        """Return why nothing can be written here, or None if a small test file can be written."""
        try:
            try_writing(self.files)
        except StoreAwayError:
            raise
        except StoreError as error:
            return str(error)
        return None

    def clock(self) -> float:
        """Return the time of the clock that Files.modified uses, in seconds since 1970.

        A small file is written for this.
        """
        try_writing(self.files)
        return self.files.modified(TRIED)

    def shards(self, folder: str, *, keeping: str | None = None) -> list[ShardName]:
        """Return the finished shards of a table.

        With keeping, an ending, only shards with such a file beside them are returned.
        """
        return parse_names(self.files.names(folder), keeping=keeping)

    def table(self, folder: str, n_units: int, *, shards: Sequence[ShardName] | None = None) -> TableRef:
        """Return the table's units 0 to n_units; raises MissingShardsError if some do not exist."""
        pieces = cover(self.shards(folder) if shards is None else shards, n_units)
        missing = gaps(pieces, n_units)
        if missing:
            lost = sum(stop - start for start, stop in missing)
            raise MissingShardsError(
                f"{lost} of {n_units} units are missing in {folder} (first: {missing[0][0]}); run the stage "
                "again to make them"
            )
        return TableRef(folder, tuple(pieces))

    def write_shard(
        self, folder: str, unit: str, start: int, stop: int, shard: Shard, *, side: Mapping[str, Any]
    ) -> ShardName:
        """Write a shard with its blobs and its side file, and return its name.

        The shard itself is written last, so that a listed shard has all its files. Equal content gives equal
        names. Raises ShapeError, before anything is written, if the number of rows does not fit the units.
        """
        units = f"{stop - start} {unit} ({start} to {stop})"
        of_rows = rows.header(shard.rows_per_unit, shard.columns, stop - start, units=units, folder=folder)
        blobs = {ending: digest_bytes(content) for ending, content in shard.blobs.items()}
        about = {"folder": folder, "unit": unit, "start": start, "stop": stop, **of_rows}
        about |= {"summary": dict(shard.summary), "blobs": blobs}
        content = encode(shard.columns, about)
        name = ShardName(unit, start, stop, digest_bytes(content))
        for ending, blob in shard.blobs.items():
            self.files.write(f"{folder}/{name.blob(ending, blobs[ending])}", blob)
        for ending, kept in shard.beside.items():
            self.files.write(f"{folder}/{name.file_beside(ending, digest_bytes(kept))}", kept)
        # No result depends on the side file, and waiting for the disk is most of the cost of a small shard.
        self.files.write(
            f"{folder}/{name.stem}.json",
            json.dumps(dict(side), indent=1, sort_keys=True).encode(),
            durable=False,
        )
        self.files.write(f"{folder}/{name}", content)
        return name

    def read(self, table: TableRef, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Return columns of a table, all if none are named, with its units in order.

        If the header of a shard gives several rows for a unit, such as snapshots, only the last row of each
        unit is returned: its result. Raises CorruptShardError, which names the bad file.
        """
        parts = each(self.files, lambda piece: self._read_piece(table.folder, piece, columns), table.pieces)
        # A single part is not copied: a factor of 20,000 models takes 3.2 GB.
        return (
            parts[0]
            if len(parts) == 1
            else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        )

    def read_rows(self, table: TableRef, columns: Sequence[str] | None = None) -> rows.Rows:
        """Return all rows of a table's units and how many each has; for columns and errors see `read`."""
        parts = each(self.files, lambda piece: self._read_rows(table.folder, piece, columns), table.pieces)
        joined = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
        return rows.Rows(columns=joined, counts=np.concatenate([part.counts for part in parts]))

    def columns(self, table: TableRef) -> list[str]:
        """Return the names of a table's columns."""
        return list(self._about(table.folder, table.pieces[0].shard)["columns"])

    def summary(self, table: TableRef) -> dict[str, Any]:
        """Return the JSON summary of the table's first shard."""
        return dict(self._about(table.folder, table.pieces[0].shard)["summary"])

    def summaries(self, table: TableRef) -> list[dict[str, Any]]:
        """Return the JSON summary of each of the table's shards, in order."""
        return each(
            self.files, lambda piece: dict(self._about(table.folder, piece.shard)["summary"]), table.pieces
        )

    def side(self, folder: str, shard: ShardName) -> dict[str, Any]:
        """Return the side file of a shard, which records how it was made: seconds, host, versions and more.

        It is empty if the file is missing or damaged. No result depends on it.
        """
        try:
            side = json.loads(self.files.read(f"{folder}/{shard.stem}.json"))
        except (StoreError, ValueError, RecursionError):
            return {}
        return side if isinstance(side, dict) and _is_sane(side) else {}

    def read_blob(self, folder: str, shard: ShardName, ending: str) -> bytes:
        """Return a blob of a shard; its digest is checked against the one in the shard's header."""
        expected = self._about(folder, shard)["blobs"].get(ending)
        if expected is None:
            raise StoreError(
                f"{folder}/{shard} was saved without its {ending}; run with a setting that saves it"
            )
        path = f"{folder}/{shard.blob(ending, expected)}"
        content = self.files.read(path)
        if digest_bytes(content) != expected:
            raise CorruptShardError(f"{path} does not match its digest in {shard}; run `dmm verify --repair`")
        return content

    def read_beside(self, folder: str, shard: ShardName, ending: str) -> bytes:
        """Return the file with this ending beside a shard; its digest is checked against its name.

        In a store of the first layout, a blob of the shard is returned instead. Raises StoreError if there is
        neither.
        """
        name = shard.beside
        if name is None or not name.endswith(f".{ending}"):
            return self.read_blob(folder, shard, ending)
        content = self.files.read(f"{folder}/{name}")
        if digest_bytes(content) != name.split(".")[2]:
            raise CorruptShardError(
                f"{folder}/{name} does not match the digest in its name; run `dmm verify --repair`"
            )
        return content

    def has_beside(self, folder: str, shard: ShardName, ending: str) -> bool:
        """Return whether a file with this ending lies beside a shard, or is a blob of it."""
        return (shard.beside or "").endswith(f".{ending}") or ending in self.blob_names(folder, shard)

    def blob_names(self, folder: str, shard: ShardName) -> list[str]:
        """Return the endings of the blobs of a shard."""
        return sorted(self._about(folder, shard)["blobs"])

    def describe(self, folder: str, description: Mapping[str, Any]) -> None:
        """Write a readable description of a folder's content, unless there is one.

        A description need not be replaced, because the folder's name determines its content.
        """
        if NODE_FILE not in self.files.names(folder):
            self.files.create(
                f"{folder}/{NODE_FILE}", json.dumps(description, indent=1, sort_keys=True).encode()
            )

    def decided(self, path: str) -> dict[str, Any] | None:
        """Return the choice that a process recorded at path by `decide`, or None if there is none yet."""
        folder, _, name = path.rpartition("/")
        return self._decision(path) if name in self.files.names(folder) else None

    def decide(self, path: str, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Record choice at path unless a choice is recorded there; return the recorded choice.

        So the first process decides for all others.
        """
        self.files.create(path, canonical(dict(choice)).encode())
        return self._decision(path)

    def check(self, folder: str, *, settled: float = math.inf) -> list[Problem]:
        """Return every file of a table that is corrupt, foreign or half-written; all bytes are read.

        For settled see check_table.
        """
        return check_table(self.files, folder, known=NODE_FILE, settled=settled)

    def quarantine(self, path: str) -> str:
        """Move a bad file out of its table and return its new path.

        Its range then counts as missing, and nothing is lost.
        """
        to = f"{QUARANTINE}/{path}"
        folder, _, name = to.rpartition("/")
        if name in self.files.names(folder):
            to += f".{digest_bytes(self.files.read(path))}"
        self.files.move(path, to)
        return to

    def set_aside(self, folder: str) -> list[tuple[int, int]]:
        """Return the ranges of a table's shards that `quarantine` moved out of it."""
        names = self.files.names(f"{QUARANTINE}/{folder}")
        return [(shard.start, shard.stop) for name in names if (shard := ShardName.parse(name))]

    def _decision(self, path: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self.files.read(path)))
        except ValueError as error:
            raise StoreError(
                f"{self.files.location(path)} is damaged ({error}); remove it, and the next run writes "
                "it again"
            ) from error

    def _about(self, folder: str, shard: ShardName) -> dict[str, Any]:
        path = f"{folder}/{shard}"
        return owned(read_about(RangeFile(self.files, path), path), folder, shard)

    def _read_piece(self, folder: str, piece: Piece, columns: Sequence[str] | None) -> dict[str, np.ndarray]:
        """Return the result of each unit of a piece, or all rows if they belong to one unit together."""
        about, arrays, counts = self._read_shard(folder, piece.shard, columns)
        if not rows.has_results(about, len(counts)):
            return arrays
        first, last = piece.start - piece.shard.start, piece.stop - piece.shard.start
        chosen = slice(first, last) if len(counts) == counts.sum() else np.cumsum(counts)[first:last] - 1
        return {name: values[chosen] for name, values in arrays.items()}

    def _read_rows(self, folder: str, piece: Piece, columns: Sequence[str] | None) -> rows.Rows:
        """Return all rows of each unit of a piece."""
        _, arrays, counts = self._read_shard(folder, piece.shard, columns)
        first, last = piece.start - piece.shard.start, piece.stop - piece.shard.start
        chosen = slice(counts[:first].sum(), counts[:last].sum())
        part = {name: values[chosen] for name, values in arrays.items()}
        return rows.Rows(columns=part, counts=counts[first:last])

    def _read_shard(
        self, folder: str, shard: ShardName, columns: Sequence[str] | None
    ) -> tuple[dict[str, Any], dict[str, np.ndarray], Int[np.ndarray, " n_units"]]:
        """Return a shard's header, its columns with all rows, and the number of rows of each unit."""
        path = f"{folder}/{shard}"
        about, arrays = read_columns(RangeFile(self.files, path), path, columns)
        owned(about, folder, shard)
        return about, arrays, rows.counts_of(about, shard.stop - shard.start, path)


def _is_sane(side: Mapping[str, Any]) -> bool:
    """Return whether a side file can be used: its numbers are within bounds and its host is a text."""
    measured = [side[name] for name in MEASURED if name in side]
    return isinstance(side.get("host", ""), str) and all(
        type(value) in (int, float) and 0 <= value < LATEST for value in measured
    )
