"""The states of all models of a table, kept in files beside its shards.

Trained populations keep their states if the config or a judge asks for them, unlearned models only if a judge
does.
"""

from pipeline.graph.nodes.train import encode_states, read_states
from pipeline.store.store import Store, TableRef
from pipeline.training.ensemble import States, join, take
from pipeline.unlearning.unlearner import Unlearned

# The ending of the file with the states of all unlearned models of a shard. It differs from CHECKPOINT, the
# ending of blobs with the states of the first models only.
ALL_STATES = "states"
# In such a file, names of tensors begin with this prefix for the final states, and with a number for an
# earlier snapshot.
_RESULT = "result/"


def encode_kept(unlearned: Unlearned) -> bytes:
    """Return the states of all members at the end and at each earlier snapshot as one safetensors file."""
    at_end = take(unlearned.states, 0, len(unlearned.logits))
    tensors = {_RESULT + name: value for name, value in at_end.items()}
    for number, snapshot in enumerate(unlearned.snapshots[:-1]):
        tensors |= {_beginning(number) + name: value for name, value in snapshot.states.items()}
    return encode_states(tensors)


def read_kept(store: Store, table: TableRef, start: int, stop: int, *, snapshot: int | None = None) -> States:
    """Return the states of members start to stop, with a leading member axis.

    snapshot: the number (from 0) of a snapshot of unlearned models. If it is None, or if models have no such
    snapshot, the result holds their final states.
    Raises StoreError if the states of one of the members were not kept.
    """
    parts = []
    for piece in table.part(start, stop).pieces:
        part = TableRef(table.folder, (piece,))
        if (piece.shard.beside or "").endswith(f".{ALL_STATES}"):
            parts.append(_at(read_states(store, part, piece.start, piece.stop, ending=ALL_STATES), snapshot))
        else:
            parts.append(read_states(store, part, piece.start, piece.stop))
    return join(parts)


def _at(tensors: States, snapshot: int | None) -> States:
    """Return the states at a snapshot, or the final states if there is no such snapshot."""
    wanted = _RESULT if snapshot is None else _beginning(snapshot)
    if not any(name.startswith(wanted) for name in tensors):
        wanted = _RESULT
    return {name.removeprefix(wanted): value for name, value in tensors.items() if name.startswith(wanted)}


def _beginning(snapshot: int) -> str:
    return f"{snapshot:06d}/"
