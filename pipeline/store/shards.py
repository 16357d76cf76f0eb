"""Names of shards, and the ranges of units that they hold.

A table is complete if the ranges cover its units, so shards of any sizes may share a table.
"""

import heapq
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pipeline.core.fingerprint import digest

# The name of a file beside a shard holds the digest of the shard and then that of the file itself. The name
# of a blob, which is a part of a shard in a file of its own, holds only the digest of the blob.
_BESIDE = re.compile(
    r"(?P<range>[a-z]+-\d{6,}-\d{6,})\.(?:(?P<shard>[0-9a-f]{16})\.)?"
    r"(?P<digest>[0-9a-f]{16})\.(?P<ending>(?!parquet$)[a-z_]+)"
)
# Most names in a folder of shards have these endings. They are skipped before _BESIDE is matched, because
# matching 20,000 names takes a tenth of a second.
_OTHERS = (".parquet", ".json")
_PATTERN = re.compile(
    r"(?P<unit>[a-z]+)-(?P<start>\d{6,})-(?P<stop>\d{6,})\.(?P<digest>[0-9a-f]{16})\.parquet"
)


@dataclass(frozen=True, order=True)
class ShardName:
    """The name of one finished shard: units start to stop (excluded) and the digest of the whole file.

    unit is the word for its units, such as members. beside is the name of a file that was listed beside the
    shard, such as the weights, or None. It is ignored when shards are compared.
    """

    unit: str
    start: int
    stop: int
    digest: str
    beside: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.stem}.parquet"

    @property
    def stem(self) -> str:
        """The name without its ending; side files share it."""
        return f"{self.unit}-{self.start:06d}-{self.stop:06d}.{self.digest}"

    def blob(self, ending: str, digest: str) -> str:
        """Return the name of the shard's blob with this ending and digest.

        A blob is a part of the shard in a file of its own; the header of the shard holds its digest.
        """
        return f"{self.unit}-{self.start:06d}-{self.stop:06d}.{digest}.{ending}"

    def file_beside(self, ending: str, digest: str) -> str:
        """Return the name of the file beside the shard with this ending and digest.

        The shard's own digest does not depend on such a file.
        """
        return f"{self.stem}.{digest}.{ending}"

    @classmethod
    def parse(cls, name: str) -> "ShardName | None":
        """Return the shard called name, or None if name is not that of a shard."""
        match = _PATTERN.fullmatch(name)
        if match is None or int(match["start"]) >= int(match["stop"]):
            return None
        found = cls(match["unit"], int(match["start"]), int(match["stop"]), match["digest"])
        # The pattern also accepts numbers written in other ways (more zeros, other scripts). They are
        # refused, because the file would be opened under a name that it does not have.
        return found if str(found) == name else None


def parse_names(names: Sequence[str], *, keeping: str | None = None) -> list[ShardName]:
    """Return the shards among the names of a folder's files, each with the file beside it.

    With keeping, an ending, only shards with such a file beside them are returned. Stores of the first layout
    hold this file as a blob, whose name has the range of the shard.
    """
    beside: dict[str, str] = {}
    blobs: set[str] = set()
    for name in sorted((name for name in names if not name.endswith(_OTHERS)), reverse=True):
        match = _BESIDE.fullmatch(name)
        if match is not None and match["shard"] is not None:
            beside[f"{match['range']}.{match['shard']}"] = name
        elif match is not None and match["ending"] == keeping:
            blobs.add(match["range"])
    found = [shard for name in names if (shard := ShardName.parse(name))]
    shards = (
        [replace(shard, beside=beside[shard.stem]) if shard.stem in beside else shard for shard in found]
        if beside
        else found
    )
    if keeping is None:
        return shards
    return [
        shard
        for shard in shards
        if (shard.beside or "").endswith(f".{keeping}") or shard.stem.rpartition(".")[0] in blobs
    ]


def stem_of_beside(name: str) -> str | None:
    """Return the stem of the shard that the file called name lies beside, or None for any other file."""
    match = _BESIDE.fullmatch(name)
    return None if match is None or match["shard"] is None else f"{match['range']}.{match['shard']}"


@dataclass(frozen=True)
class Piece:
    """Units start to stop, taken from one shard."""

    shard: ShardName
    start: int
    stop: int


@dataclass(frozen=True)
class TableRef:
    """A table, as the pieces of shards that hold its units.

    A worker that gets this value can read the table without listing its folder.
    """

    folder: str
    pieces: tuple[Piece, ...]

    @cached_property
    def digest(self) -> str:
        """A digest of what is read: the name of each shard, with its digest, and the units taken from it."""
        return digest([[str(piece.shard), piece.start, piece.stop] for piece in self.pieces])

    def part(self, start: int, stop: int) -> "TableRef":
        """Return the part that holds units start to stop."""
        pieces = [Piece(piece.shard, max(piece.start, start), min(piece.stop, stop)) for piece in self.pieces]
        return TableRef(self.folder, tuple(piece for piece in pieces if piece.start < piece.stop))


def cover(shards: Iterable[ShardName], n_units: int) -> list[Piece]:
    """Return the pieces that hold units 0 to n_units, as far as they exist.

    If two shards hold a unit, the shard with the lexically first name is used. One sweep over the starts and
    stops of shards, with a heap of the shards that hold the current unit, takes a tenth of a second for
    20,000 shards.
    """
    coming = sorted(
        ((shard.start, str(shard), shard) for shard in shards if shard.start < n_units), reverse=True
    )
    edges = sorted(
        {0, n_units} | {edge for start, _, shard in coming for edge in (start, shard.stop) if edge < n_units}
    )
    pieces: list[Piece] = []
    holding: list[tuple[str, ShardName]] = []
    for start, stop in itertools.pairwise(edges):
        while coming and coming[-1][0] <= start:
            _, name, shard = coming.pop()
            heapq.heappush(holding, (name, shard))
        while holding and holding[0][1].stop <= start:
            heapq.heappop(holding)
        if not holding:
            continue
        holder = holding[0][1]
        if pieces and pieces[-1].shard == holder and pieces[-1].stop == start:
            pieces[-1] = Piece(holder, pieces[-1].start, stop)
        else:
            pieces.append(Piece(holder, start, stop))
    return pieces


def gaps(pieces: Sequence[Piece], n_units: int) -> list[tuple[int, int]]:
    """Return the ranges of 0 to n_units that no piece holds."""
    found, position = [], 0
    for piece in pieces:
        if piece.start > position:
            found.append((position, piece.start))
        position = piece.stop
    return found + ([(position, n_units)] if position < n_units else [])


def is_covered(shards: Iterable[ShardName], start: int, stop: int) -> bool:
    """Return whether shards hold all units from start to stop."""
    pieces = cover((shard for shard in shards if shard.start < stop and shard.stop > start), stop)
    return not any(last > start for _, last in gaps(pieces, stop))


def split(
    ranges: Iterable[tuple[int, int]], size: int, *, lost: Iterable[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Return ranges cut at the multiples of size, so that runs with equal shard sizes compute equal shards.

    lost holds ranges of shards that are computed again. If such a range lies within ranges, it stays whole:
    the shard then gets its old name, and no result that was computed from it becomes stale.
    """
    parts, ends = [], dict(lost)
    for start, stop in ranges:
        while start < stop:
            end = min([stop, (start // size + 1) * size, *(begin for begin in ends if begin > start)])
            if ends.get(start, stop + 1) <= stop:
                end = ends[start]
            parts.append((start, end))
            start = end
    return parts


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order; those that touch or overlap are merged."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and found[-1][1] >= start:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found
