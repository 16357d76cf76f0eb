"""The nodes of a Ray cluster that do not see the store.

The driver reports them, and avoids them while other nodes can take the work.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core.resources import Need
from pipeline.execution.executor import Outcome
from pipeline.execution.ray.cluster import NODE_LABEL, offer_fits

# Seconds after which a node is tried again: its mount may have been repaired. If not, the try costs one
# shard's wait.
PASSED_OVER = 600.0


@dataclass
class Blind:
    """Nodes that do not see the store: until when each is avoided, and its message."""

    nodes: dict[str, tuple[float, str]] = field(default_factory=dict)
    since: float | None = None

    def note(self, outcome: Outcome[Any]) -> None:
        """Record the node of an outcome if it does not see the store.

        since is set at the first such outcome and reset when a task finishes.
        """
        if outcome.error is None:
            self.since = None
        if outcome.fault == "unseen" and outcome.node:
            self.since = self.since or time.monotonic()
            self.nodes.pop(outcome.node, None)
            self.nodes[outcome.node] = (time.monotonic() + PASSED_OVER, str(outcome.error).partition(": ")[2])

    def around(self, need: Need, machines: Callable[[], list[dict[str, float]]]) -> Need:
        """Return need with a label that excludes these nodes, if another machine of the cluster meets it.

        Otherwise return need as it is: a mount may come back.
        """
        self._forget()
        if not self.nodes or any(name == NODE_LABEL for name, _ in need.labels):
            return need
        elsewhere = replace(need, labels=(*need.labels, (NODE_LABEL, f"!in({','.join(sorted(self.nodes))})")))
        return elsewhere if any(offer_fits(elsewhere, machine) for machine in machines()) else need

    def hopeless(
        self, needs: Collection[Need], machines: list[dict[str, float]], seconds: float
    ) -> dict[Need, str]:
        """Return an error for each need that only blind nodes meet, if no task has finished for `seconds`."""
        if self.since is None or time.monotonic() - self.since < seconds or not self.notice:
            return {}
        bound = {need for need in needs if any(name == NODE_LABEL for name, _ in need.labels)}
        error = f"StoreUnseenError: {self.notice}; no node that sees it has come for {seconds:.0f} s"
        return {need: error for need in set(needs) - bound if self.around(need, lambda: machines) == need}

    @property
    def notice(self) -> str:
        """The message of the node noted last; empty if there are none."""
        self._forget()
        return list(self.nodes.values())[-1][1] if self.nodes else ""

    def _forget(self) -> None:
        self.nodes = {
            node: (until, said) for node, (until, said) in self.nodes.items() if time.monotonic() < until
        }
