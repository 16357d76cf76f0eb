"""The time that making a table took, as the side files beside its shards say."""

from pipeline.store.store import Store, TableRef

# Shards whose side files are read; a table may have 20,000.
_MOST_READ = 32


def core_seconds(store: Store, table: TableRef) -> float | None:
    """Return the core seconds of a table's units, extrapolated from some of its shards.

    None if no side file says.
    """
    some = table.pieces[:: len(table.pieces) // _MOST_READ + 1]
    seconds, units = 0.0, 0
    for piece in some:
        side = store.side(table.folder, piece.shard)
        if "seconds" in side:
            seconds += side["seconds"] * side.get("threads", 1)
            units += piece.shard.stop - piece.shard.start
    return seconds / units * sum(piece.stop - piece.start for piece in table.pieces) if units else None
