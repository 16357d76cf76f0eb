"""Rows of listings: one for each node, or one for nodes that differ only in their forget set."""

from typing import Any

from jobs.running.experiment_index import labels_of
from pipeline.graph.graph import NodeState
from pipeline.show.tables import Cell, Tone

# Tones of statuses; those later in the list stand for a group of which members differ.
TONES = {
    "done": Tone.GOOD,
    "partial": Tone.WARNING,
    "missing": Tone.NEW,
    "stale": Tone.OLD,
    "waiting": Tone.MUTED,
}


def about(state: NodeState) -> dict[str, Any]:
    """Return what every listing says of a node.

    Forget_set is the label of the set it is for, if it is for one.
    """
    return {**labels_of(state.node), "status": state.status, "unit": state.node.unit}


def grouped(rows: list[dict[str, Any]], sums: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return rows with those that differ only in the forget set made one.

    Counts added up, statuses told apart.
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
    """Return the status of a group, or how many of its members have which."""
    each = {status: statuses.count(status) for status in statuses}
    text = ", ".join(status if len(each) == 1 else f"{count} {status}" for status, count in each.items())
    return Cell(value=text, tone=TONES[max(each, key=list(TONES).index)])
