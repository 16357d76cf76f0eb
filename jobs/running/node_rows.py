"""Rows of listings: one for each node, or one for all nodes that differ only in their forget set."""

from typing import Any

from jobs.running.experiment_index import labels_of
from pipeline.graph.graph import NodeState
from pipeline.results.tables import Cell, Tone

# The colour tone of each status. A group of nodes with several statuses gets the tone of the status that is
# last in this table.
TONES = {
    "done": Tone.GOOD,
    "partial": Tone.WARNING,
    "missing": Tone.NEW,
    "stale": Tone.OLD,
    "waiting": Tone.MUTED,
}


def about(state: NodeState) -> dict[str, Any]:
    """Return what every listing shows of a node: its key, group, forget set, status and unit.

    forget_set is the label of the forget set, None if the node belongs to no forget set.
    """
    return {**labels_of(state.node), "status": state.status, "unit": state.node.unit}


def grouped(rows: list[dict[str, Any]], sums: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return rows after merging those that differ only in the forget set.

    sums names the columns whose values are added up; the sum is None if a value is unknown (None). Different
    statuses are listed with their counts.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    merged = []
    for name, members in groups.items():
        counts = {
            key: None if any(row[key] is None for row in members) else sum(row[key] for row in members)
            for key in sums
        }
        statuses = [row["status"] for row in members]
        details = ([f"× {len(members)} sets"] if len(members) > 1 else []) + (
            [f"({members[0]['note']})"] if members[0].get("note") else []
        )
        node = (
            Cell(value=name if len(members) > 1 else members[0]["node"], detail=" ".join(details))
            if details
            else members[0]["node"]
        )
        merged.append({"node": node, "status": _status(statuses), "unit": members[0]["unit"], **counts})
    return merged


def _status(statuses: list[str]) -> Cell:
    """Return the status of a group, or how many of its members have each status."""
    each = {status: statuses.count(status) for status in statuses}
    text = ", ".join(status if len(each) == 1 else f"{count} {status}" for status, count in each.items())
    return Cell(value=text, tone=TONES[max(each, key=list(TONES).index)])
