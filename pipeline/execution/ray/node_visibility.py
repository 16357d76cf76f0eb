"""The nodes (machines) of a Ray cluster that do not see the store.

The driver tells the user about them, and avoids them while other nodes can run the tasks.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core.resources import Need
from pipeline.execution.executor import Outcome
from pipeline.execution.ray.cluster import NODE_LABEL, offer_fits

# Seconds after which a node is tried again, because its mount may have been repaired. If it was not, one task
# waits for the store there and is then tried elsewhere.
PASSED_OVER = 600.0


@dataclass
class Blind:
    """The nodes of the cluster that do not see the store.

    nodes: by Ray's id of a node, the time until which it is avoided, and the error that showed it. since: the
    time of the first such error after the last finished task, or None. Times are those of time.monotonic.
    """

    nodes: dict[str, tuple[float, str]] = field(default_factory=dict)
    since: float | None = None

    def note(self, outcome: Outcome[Any]) -> None:
        """Record the node that ran the task of an outcome, if its error is that it does not see the store.

        A task that finished resets since.
        """
        if outcome.error is None:
            self.since = None
        if outcome.fault == "unseen" and outcome.node:
            self.since = self.since or time.monotonic()
            self.nodes.pop(outcome.node, None)
            self.nodes[outcome.node] = (time.monotonic() + PASSED_OVER, str(outcome.error).partition(": ")[2])

    def around(self, need: Need, machines: Callable[[], list[dict[str, float]]]) -> Need:
        """Return need with a label that excludes these nodes, if another machine of the cluster meets it.

        Otherwise return need as it is, because a mount may come back. A need that selects a node itself is
        not changed either.
        """
        self._forget()
        if not self.nodes or any(name == NODE_LABEL for name, _ in need.labels):
            return need
        elsewhere = replace(need, labels=(*need.labels, (NODE_LABEL, f"!in({','.join(sorted(self.nodes))})")))
        return elsewhere if any(offer_fits(elsewhere, machine) for machine in machines()) else need

    def hopeless(
        self, needs: Collection[Need], machines: list[dict[str, float]], seconds: float
    ) -> dict[Need, str]:
        """Return an error for each need that only nodes without the store meet.

        The result is empty until `seconds` have passed since such a node was found, without a finished task.
        """
        if self.since is None or time.monotonic() - self.since < seconds or not self.notice:
            return {}
        bound = {need for need in needs if any(name == NODE_LABEL for name, _ in need.labels)}
        error = f"StoreUnseenError: {self.notice}; no node that sees it has come for {seconds:.0f} s"
        return {need: error for need in set(needs) - bound if self.around(need, lambda: machines) == need}

    @property
    def notice(self) -> str:
        """The error of the node that was noted last; empty if no node is avoided."""
        self._forget()
        return list(self.nodes.values())[-1][1] if self.nodes else ""

    def _forget(self) -> None:
        self.nodes = {
            node: (until, said) for node, (until, said) in self.nodes.items() if time.monotonic() < until
        }
