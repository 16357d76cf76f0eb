"""Shards as Parquet files, and matrices in users' Parquet files. Only this file knows Parquet.

Arrays are columns, and a header describes the shard. A column with one number a row is a plain column that
any tool reads. A column with several numbers a row holds raw bytes of fixed size (no dictionary, no
compression: 70 times faster to read than nested lists). Pages have checksums. The header, which holds dtypes
and shapes, has a digest of its own, because the checksums do not cover it.
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import CorruptShardError, StoreError
from pipeline.core.fingerprint import canonical, digest_bytes

# Arrow keeps freed memory, twice as much as was read, to read the next shard faster. After a read of more
# bytes than this, the memory is given back.
_MOST_KEPT = 32 << 20
# Bytes of a matrix that are in memory at once while it is written.
MOST_WRITTEN = 64 << 20
# Exceptions raised on bytes that are no shard of ours, even if somebody made them up with a matching digest.
UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, RecursionError)


def encode(columns: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> bytes:
    """Return columns (n_rows, ...) and the JSON-ready header about as the bytes of a Parquet file.

    Equal content gives equal bytes. Raises StoreError if a column does not hold numbers.
    """
    fields, arrays = [], []
    for name, values in columns.items():
        cells = np.ascontiguousarray(values)
        if cells.dtype.kind not in "biuf" or 0 in cells.shape[1:]:
            raise StoreError(
                f"column {name!r} is {cells.dtype} of shape {cells.shape}; expected numbers, at least "
                "one in each row"
            )
        if cells.ndim == 1:
            arrays.append(pa.array(cells))
        else:
            width = int(np.prod(cells.shape[1:], dtype=np.int64)) * cells.dtype.itemsize
            arrays.append(pa.Array.from_buffers(pa.binary(width), len(cells), [None, pa.py_buffer(cells)]))
        fields.append(pa.field(name, arrays[-1].type, nullable=False))
    kinds = {name: [values.dtype.str, list(values.shape[1:])] for name, values in columns.items()}
    text = canonical({**about, "columns": kinds, "n_rows": len(next(iter(columns.values())))})
    schema = pa.schema(fields, metadata={"dmm": text, "dmm-digest": digest_bytes(text.encode())})
    table = pa.Table.from_arrays(arrays, schema=schema)
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    return sink.getvalue()


def read_about(source: io.IOBase, path: str) -> dict[str, Any]:
    """Return the header of the shard in source; raises CorruptShardError, with path, if it is damaged."""
    try:
        return _about(pq.read_schema(source))
    except UNREADABLE as error:
        raise _corrupt(path, error) from error


def read_columns(
    source: io.IOBase, path: str, columns: Sequence[str] | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header of the shard in source, and the named columns, or all if columns is None.

    No other columns are read. Raises CorruptShardError, which names path, if any byte that is read differs
    from what was written, and StoreError if there is no such column.
    """
    try:
        about, arrays = _read(source, path, columns)
    except UNREADABLE as error:
        raise _corrupt(path, error) from error
    if sum(values.nbytes for values in arrays.values()) > _MOST_KEPT:
        pa.default_memory_pool().release_unused()
    return about, arrays


def _read(
    source: io.IOBase, path: str, columns: Sequence[str] | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    file = pq.ParquetFile(source, page_checksum_verification=True)
    about = _about(file.schema_arrow)
    wanted = list(about["columns"] if columns is None else columns)
    missing = sorted(set(wanted) - set(about["columns"]))
    if missing:
        raise StoreError(f"{path} has no column {', '.join(missing)}; it has {', '.join(about['columns'])}")
    table = file.read(columns=wanted, use_threads=False)
    return about, {
        name: _to_array(table.column(name), about["n_rows"], *about["columns"][name]) for name in wanted
    }


def _corrupt(path: str, error: Exception) -> CorruptShardError:
    reason = str(error).split("\n", 1)[0]
    return CorruptShardError(f"{path} cannot be read ({reason}); run `dmm verify --repair`")


def _about(schema: pa.Schema) -> dict[str, Any]:
    """Return the header of a shard, empty if the file is no shard of ours.

    Raises ValueError if the bytes of the header differ from what was written.
    """
    metadata = schema.metadata or {}
    raw = metadata.get(b"dmm", b"{}")
    if raw != b"{}" and digest_bytes(raw).encode() != metadata.get(b"dmm-digest"):
        raise ValueError("its header differs from what was written")
    return dict(json.loads(raw))


def _to_array(column: pa.ChunkedArray, n_rows: int, dtype: str, shape: list[int]) -> np.ndarray:
    """Return a column as the array (n_rows, *shape) from which it was written.

    Raises ValueError if the column has another type or another number of rows.
    """
    width = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if not shape:
        values = np.array(column.to_numpy())
    elif pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == width:
        parts = [
            np.frombuffer(chunk.buffers()[1], np.uint8)[
                chunk.offset * width : (chunk.offset + len(chunk)) * width
            ]
            for chunk in column.chunks
        ]
        values = np.concatenate([np.zeros(0, np.uint8), *parts]).view(dtype).reshape(-1, *shape)
    else:
        raise ValueError(f"a column is {column.type}; expected cells of {width} bytes")
    if values.dtype != np.dtype(dtype) or len(values) != n_rows:
        raise ValueError(
            f"a column holds {len(values)} values of {values.dtype}; expected {n_rows} of {dtype}"
        )
    return values


def write_side_by_side(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write a matrix to a Parquet file, as columns of lists that any tool reads.

    Each column holds some columns (n_rows, n_numbers) of the matrix, as floats. Side by side they are the
    matrix.
    """
    kinds = {
        name: pa.list_(pa.from_numpy_dtype(values.dtype.newbyteorder("=")), values.shape[1])
        for name, values in columns.items()
    }
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])
    n_rows, row_bytes = (
        len(next(iter(columns.values()))),
        sum(values.nbytes // len(values) for values in columns.values()),
    )
    step = max(1, MOST_WRITTEN // row_bytes)
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, n_rows, step):
            parts = {
                name: np.ascontiguousarray(values[start : start + step]) for name, values in columns.items()
            }
            lists = [
                pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), type=kinds[name])
                for name, part in parts.items()
            ]
            writer.write_table(pa.Table.from_arrays(lists, schema=schema))


@dataclass(frozen=True)
class StoredColumn:
    """One column of any Parquet file, as it is stored.

    names: the names of all columns of the file. number: the place of this column among them, from 0. kind:
    Arrow's name of the column's type. values: a function that reads the values; a missing value is None.
    """

    names: Sequence[str]
    number: int
    kind: str
    is_integer: bool
    values: Callable[[], list[Any]]

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.names[self.number]


def read_stored_column(file: BinaryIO, choose: Callable[[Sequence[str]], int]) -> StoredColumn:
    """Return one column; choose gets the names of all columns and returns the number of this one.

    Raises ValueError on a damaged file, and the errors that choose raises. The index of a pandas table is one
    of the columns; pandas itself would hide it.
    """
    with _damage_named():
        opened = pq.ParquetFile(file)
        schema = opened.schema_arrow
    number = choose(schema.names)
    field = schema.field(number)

    def values() -> list[Any]:
        with _damage_named():
            return list(opened.read(columns=[field.name]).column(0).to_pylist())

    return StoredColumn(schema.names, number, str(field.type), pa.types.is_integer(field.type), values)


@contextlib.contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class SideBySide:
    """A user's Parquet file that holds a matrix, one row of it in each row of the file.

    The numbers of the columns lie side by side, in the order of the file. In each row a column holds a float,
    a list of floats (equally many in all rows), or bytes of fixed size, which are numbers of `dtype`. Raises
    ValueError or OSError if the file cannot be read or a column holds anything else.
    """

    path: Path
    dtype: str

    @cached_property
    def widths(self) -> dict[str, int]:
        """How many numbers each column holds in a row."""
        schema = pq.read_schema(self.path)
        return {field.name: self._width(field) for field in schema}

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return pq.read_metadata(self.path).num_rows

    def read(self, names: Sequence[str]) -> np.ndarray:
        """Return the numbers (n_rows, n_numbers) of the named columns; no other columns are read.

        A missing float is NaN. Raises ValueError on missing lists and on lists of unequal lengths.
        """
        return self._joined(pq.read_table(self.path, columns=list(names), use_threads=False), names)

    def batches(self, n_rows: int) -> Iterator[np.ndarray]:
        """Yield all numbers, n_rows rows at a time."""
        for batch in pq.ParquetFile(self.path).iter_batches(batch_size=n_rows):
            yield self._joined(pa.Table.from_batches([batch]), list(self.widths))

    def _width(self, field: pa.Field) -> int:
        kind, size = field.type, np.dtype(self.dtype).itemsize
        if pa.types.is_floating(kind):
            return 1
        if pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type):
            return int(kind.list_size)
        if pa.types.is_fixed_size_binary(kind) and kind.byte_width % size == 0:
            return int(kind.byte_width) // size
        if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_floating(kind.value_type):
            first = next(pq.ParquetFile(self.path).iter_batches(batch_size=1, columns=[field.name]))
            return len(first.column(0).flatten())
        raise ValueError(
            f"column {field.name!r} holds {kind}; expected floats, lists of floats, or bytes that are "
            f"{self.dtype}"
        )

    def _joined(self, table: pa.Table, names: Sequence[str]) -> np.ndarray:
        parts = [
            self._numbers(name, chunk) for name in names for chunk in [table.column(name).combine_chunks()]
        ]
        return np.concatenate(parts, axis=1)

    def _numbers(self, name: str, column: pa.Array) -> np.ndarray:
        """Return one column (n_rows, width)."""
        width = self.widths[name]
        # pandas writes NaN in a column of floats as a missing value. The caller refuses values that are not
        # finite, and names their place.
        if column.null_count and not pa.types.is_floating(column.type):
            raise ValueError(
                f"column {name!r} has no value in {column.null_count} rows; expected a value in each row"
            )
        if pa.types.is_fixed_size_binary(column.type):
            size = column.type.byte_width
            flat = np.frombuffer(column.buffers()[1], np.uint8)[
                column.offset * size : (column.offset + len(column)) * size
            ].view(self.dtype)
        else:
            flat = (column if pa.types.is_floating(column.type) else column.flatten()).to_numpy(
                zero_copy_only=False
            )
        lengths = (
            np.asarray(column.value_lengths()) if hasattr(column, "value_lengths") else np.array([width])
        )
        if len(flat) != len(column) * width or (lengths != width).any():
            raise ValueError(
                f"column {name!r} holds {len(flat)} numbers in {len(column)} rows; expected {width} in each"
            )
        return flat.reshape(len(column), width)
