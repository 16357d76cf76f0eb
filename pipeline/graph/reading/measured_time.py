"""The time that it took to compute a table, from the side files beside its shards."""

from pipeline.store.store import Store, TableRef

# At most this many side files are read for a table, because a table may have 20,000 shards.
_MOST_READ = 32


def core_seconds(store: Store, table: TableRef) -> float | None:
    """Return the core seconds (seconds × threads) of a table's units, extrapolated from some of its shards.

    The result is None if no side file that is read holds a time.
    """
    some = table.pieces[:: len(table.pieces) // _MOST_READ + 1]
    seconds, units = 0.0, 0
    for piece in some:
        side = store.side(table.folder, piece.shard)
        if "seconds" in side:
            seconds += side["seconds"] * side.get("threads", 1)
            units += piece.shard.stop - piece.shard.start
    return seconds / units * sum(piece.stop - piece.start for piece in table.pieces) if units else None
