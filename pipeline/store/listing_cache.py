"""Recent listings of large folders.

A process that makes one small shard after another must not list a folder of 20,000 shards for each of them.
"""

import bisect
import time
from dataclasses import dataclass, field

from pipeline.store.shards import joined
from pipeline.store.store import Store

# A listing that takes fewer seconds is not cached. Listing 500 shards on a local disk takes about this long.
WORTH_KEEPING = 0.005
# The share of a worker's time that listing may take. A listing is used for its own duration divided by this.
_SHARE = 0.02


@dataclass
class Listing:
    """The ranges of a folder's shards, disjoint and in order.

    The listing is used until fresh_until (time.monotonic). made holds the ranges that this process has made
    since it was listed.
    """

    ranges: list[tuple[int, int]]
    fresh_until: float
    made: set[tuple[int, int]] = field(default_factory=set)

    def holds(self, start: int, stop: int) -> bool:
        """Return whether units start to stop all exist."""
        at = bisect.bisect_right(self.ranges, (start, float("inf"))) - 1
        return (start, stop) in self.made or (at >= 0 and self.ranges[at][1] >= stop)


class ListingCache:
    """The last listing of a large folder that this process writes to.

    If another process makes a shard after the listing, this process makes it a second time: the same bytes
    under the same name. A process is given a shard that it made itself again only if the shard has vanished,
    so the folder is then listed anew.
    """

    def __init__(self) -> None:
        self._listings: dict[tuple[str, str], Listing] = {}

    def holds(self, store: Store, folder: str, start: int, stop: int, *, keeping: str | None = None) -> bool:
        """Return whether units start to stop of a table existed when it was last listed.

        The table is listed now if the last listing is too old. With keeping, an ending, only shards with such
        a file beside them count.
        """
        place = (store.uri, folder)
        known = self._listings.get(place)
        if known is None or time.monotonic() > known.fresh_until or (start, stop) in known.made:
            begun = time.monotonic()
            ranges = joined((shard.start, shard.stop) for shard in store.shards(folder, keeping=keeping))
            spent = time.monotonic() - begun
            known = Listing(ranges, time.monotonic() + spent / _SHARE)
            self._listings = {} if spent < WORTH_KEEPING else {place: known}
        return known.holds(start, stop)

    def made(self, store: Store, folder: str, start: int, stop: int) -> None:
        """Record that this process made units start to stop."""
        known = self._listings.get((store.uri, folder))
        if known is not None:
            known.made.add((start, stop))
