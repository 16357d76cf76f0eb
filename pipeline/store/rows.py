"""Shards with several rows for each unit, such as the snapshots of one model.

The last row of a unit is its result. The header of a shard gives the rows of its units: `rows_per_unit` if
all have equally many, else `row_offsets`. A header with neither belongs to a shard with one row for each
unit, or to a shard of a single unit. All rows of such a single unit (one for each point, say) together are
its result.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from pipeline.core.errors import CorruptShardError, ShapeError

# More rows than any file holds; a header with a larger number is wrong.
_MOST = 2**40
PER_UNIT, OFFSETS = "rows_per_unit", "row_offsets"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All rows of consecutive units; the rows of a unit lie together.

    counts (n_units,): the number of rows of each unit.
    """

    columns: Mapping[str, np.ndarray]
    counts: Int[np.ndarray, " n_units"]

    @property
    def n_most(self) -> int:
        """The largest number of rows of a unit, 0 if there are no units."""
        return int(self.counts.max(initial=0))

    def at(self, number: int) -> Int[np.ndarray, " n_units"]:
        """Return the position of row `number` (from 0) of each unit, or of its last row if it has fewer."""
        ends = np.cumsum(self.counts)
        return np.minimum(ends - self.counts + number, ends - 1)


def header(
    counts: Sequence[int] | None,
    columns: Mapping[str, np.ndarray],
    n_units: int,
    *,
    units: str,
    folder: str,
) -> dict[str, Any]:
    """Return the header entry that records how many rows each unit has; empty if each unit has one row.

    counts (n_units,) are these numbers. Without counts, a shard of several units must have one row for each,
    and a shard of one unit any number. Raises ShapeError, with units and folder as texts in the message, if
    counts or columns do not fit.
    """
    if counts is None and n_units == 1:
        return {}
    numbers = [1] * n_units if counts is None else [int(count) for count in counts]
    if len(numbers) != n_units or min(numbers, default=0) < 1:
        remedy = "give the number of rows of each unit, at least 1"
        raise ShapeError(f"{folder}: `rows_per_unit` is {numbers} for {units}; {remedy}")
    for name, values in columns.items():
        if len(values) != sum(numbers):
            given = f"{sum(numbers)} rows, as `rows_per_unit` says"
            wanted = "one row for each of them" if counts is None else given
            raise ShapeError(f"{folder}: column {name!r} has {len(values)} rows for {units}; return {wanted}")
    if max(numbers) == 1:
        return {}
    return {PER_UNIT: numbers[0]} if len(set(numbers)) == 1 else {OFFSETS: [0, *np.cumsum(numbers).tolist()]}


def has_results(about: Mapping[str, Any], n_units: int) -> bool:
    """Return whether the last row of a unit is its result; if not, all rows belong to one unit."""
    return n_units > 1 or PER_UNIT in about or OFFSETS in about


def counts_of(about: Mapping[str, Any], n_units: int, path: str) -> Int[np.ndarray, " n_units"]:
    """Return the number of rows of each unit of the shard with the header about.

    Raises CorruptShardError, which names path, if the header contradicts itself or the shard's number of
    rows.
    """
    n_rows, per_unit, offsets = about.get("n_rows"), about.get(PER_UNIT, 1), about.get(OFFSETS)
    if _is_count(n_rows) and not has_results(about, n_units):
        return np.array([n_rows], np.int64)
    if _is_count(per_unit) and offsets is None and per_unit * n_units == n_rows:
        return np.full(n_units, per_unit)
    if PER_UNIT not in about and _are_offsets(offsets, n_units, n_rows):
        return np.diff(np.array(offsets))
    said = "".join(f", {key} {str(about[key])[:80]}" for key in (PER_UNIT, OFFSETS) if key in about)
    raise CorruptShardError(f"{path} has {n_rows} rows for {n_units} units{said}; run `dmm verify --repair`")


def _are_offsets(offsets: Any, n_units: int, n_rows: Any) -> bool:
    """Return whether offsets rise from 0 to n_rows in n_units steps."""
    if not isinstance(offsets, list) or len(offsets) != n_units + 1 or not all(map(_is_count, offsets)):
        return False
    rises = all(one < other for one, other in itertools.pairwise(offsets))
    return rises and offsets[0] == 0 and offsets[-1] == n_rows


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST
