"""Finished units that no listing of the store shows.

A mount returns an old listing, or another process moved or removed the file. Such units count as missing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipeline.execution.failures import Failure
from pipeline.execution.progress import Progress
from pipeline.store.shards import joined

# Seconds before each survey that comes before units are computed again: a network file system may return an
# old listing.
PAUSES = (0.0, 1.0, 3.0, 6.0)
# How often the units of one node are computed again. A task that finds them in the store only reports them.
MOST_AGAIN = 2
REASON = (
    "the task reports that it was made, but the store does not list it: a mount shows an "
    "old listing, or another process moved or removed it; check that no `dmm verify "
    "--repair` is running, then run the same command again"
)

Range = tuple[int, int]


class UnlistedUnits:
    """The units of a run that the store does not list although they were not given up.

    It counts how often each node was computed again for this reason.
    """

    def __init__(self) -> None:
        self._again: Counter[str] = Counter()

    def find(self, progress: Progress, keys: Iterable[str]) -> dict[str, list[Range]]:
        """Return the ranges that are neither listed nor given up, for each node called in keys.

        Nodes without such ranges are left out.
        """
        given_up: dict[str, list[Range]] = {}
        for failure in progress.failures:
            given_up.setdefault(failure.key, []).append((failure.start, failure.stop))
        states = [progress.states[key] for key in keys]
        found = {
            state.node.key: without(state.missing, given_up.get(state.node.key, ()))
            for state in states
            if state.is_ready and state.status != "done"
        }
        return {key: ranges for key, ranges in found.items() if ranges}

    def may_try(self, key: str) -> bool:
        """Count one more attempt at a node; return whether it is allowed."""
        self._again[key] += 1
        return self._again[key] <= MOST_AGAIN


def failures(missing: Mapping[str, Sequence[Range]]) -> list[Failure]:
    """Return a failure for each of the missing ranges, which are given up."""
    return [
        Failure(key=key, start=start, stop=stop, error=REASON)
        for key, ranges in missing.items()
        for start, stop in ranges
    ]


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """Return ranges with all units of taken cut out."""
    left, cuts = [], joined(taken)
    for start, stop in ranges:
        for first, last in cuts:
            if first < stop and last > start:
                if first > start:
                    left.append((start, first))
                start = max(start, last)
        if start < stop:
            left.append((start, stop))
    return left
