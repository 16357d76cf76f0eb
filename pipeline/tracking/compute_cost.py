"""The computing time of tables and the hosts that computed them, from the side files of their shards.

The side file of a shard records how the shard was made. Only some side files are read, because a table may
have 20,000.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.graph.graph import NodeState
from pipeline.store.shards import Piece
from pipeline.store.store import Store

_MOST_SIDE_FILES = 32


@dataclass(frozen=True, kw_only=True)
class Spent:
    """The computing time of some tables, and where and when they were computed.

    core_seconds is an estimate if not all side files were read. hosts and written_at come from the side files
    that were read. written_at is the time at which the latest of these shards was written, in seconds since
    the epoch; it is None if it is not known.
    """

    core_seconds: float = 0.0
    hosts: tuple[str, ...] = ()
    written_at: float | None = None


def spent_on(store: Store, states: Iterable[NodeState], *, most: int = _MOST_SIDE_FILES) -> Spent:
    """Return the computing time of the tables of nodes, their hosts, and the time of the latest shard.

    At most `most` side files of each table are read: evenly spaced ones, and always the last one. The core
    seconds for each unit in these shards are taken as the cost of the table's other units too.
    """
    total, hosts, moments = 0.0, set(), []
    for state in states:
        seconds, units = 0.0, 0
        for piece in some(state.pieces, most):
            side = store.side(state.table.folder, piece.shard)
            seconds += side.get("seconds", 0.0) * side.get("threads", 1)
            units += piece.shard.stop - piece.shard.start
            hosts |= {side["host"]} if "host" in side else set()
            moments += [side["written_at"]] if "written_at" in side else []
        total += seconds / units * state.n_done if units else 0.0
    return Spent(core_seconds=total, hosts=tuple(sorted(hosts)), written_at=max(moments, default=None))


def some(pieces: tuple[Piece, ...], most: int) -> tuple[Piece, ...]:
    """Return at most `most` of the pieces: evenly spaced ones, and always the last one."""
    every = math.ceil(len(pieces) / most) if most else 0
    return pieces[::-1][::every][::-1] if every else ()
