"""Finds units that a task has finished but that the store does not list.

This happens if a mount returns an old listing, or if another process moved or removed the file. Such units
count as missing and are computed again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipeline.execution.failures import Failure
from pipeline.execution.progress import Progress
from pipeline.store.shards import joined

# Seconds to wait before each further survey of the store. Units are computed again only if no survey finds
# them, because a network file system may return an old listing at first.
PAUSES = (0.0, 1.0, 3.0, 6.0)
# Unlisted units of one node are computed again at most this often. A task whose units exist computes nothing.
MOST_AGAIN = 2
REASON = (
    "the task reports that it was made, but the store does not list it: a mount shows an "
    "old listing, or another process moved or removed it; check that no `dmm verify "
    "--repair` is running, then run the same command again"
)

Range = tuple[int, int]


class UnlistedUnits:
    """Finds units of a run that the store does not list although they were not given up.

    Counts how often units of each node were computed again for this reason.
    """

    def __init__(self) -> None:
        self._again: Counter[str] = Counter()

    def find(self, progress: Progress, keys: Iterable[str]) -> dict[str, list[Range]]:
        """Return the ranges of units that are neither listed nor given up, by node.

        Only the nodes in keys are checked. Nodes without such ranges are left out.
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
        """Count one more attempt to compute units of a node again; return whether it is allowed."""
        self._again[key] += 1
        return self._again[key] <= MOST_AGAIN


def failures(missing: Mapping[str, Sequence[Range]]) -> list[Failure]:
    """Return a failure for each missing range, because these ranges are given up."""
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
