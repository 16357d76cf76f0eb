"""Checks whether there is a store at an address.

Without this check a mistyped address would look like a store in which nothing is done yet.
"""

from pipeline.graph.node_kinds import stages
from pipeline.store.files.mounted import MARK
from pipeline.store.store import Store

_MOST_NAMED = 3


def why_no_store(store: Store) -> str | None:
    """Return why there is no store at an address, None if a run has begun there."""
    names = store.files.names("")
    if MARK in names or set(stages()) & set(names):
        return None
    if not names:
        return f"{store.uri} is empty or does not exist: no run has begun there, or the address is wrong"
    named = ", ".join(names[:_MOST_NAMED]) + (" …" if len(names) > _MOST_NAMED else "")
    return f"{store.uri} is not a store: no run has begun there, and it holds other files ({named})"
