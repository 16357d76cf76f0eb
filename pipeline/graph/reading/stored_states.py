"""The weights of models in a table.

The weights are in files beside the shards, or in the files of the source that the models come from.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from torch import nn

from pipeline.core.errors import DataError
from pipeline.graph.reading.kept_states import read_kept
from pipeline.sources.base import ModelSource
from pipeline.store.store import Store, TableRef
from pipeline.training.ensemble import States

# The column of a table from a source that holds the digest of each model's weights.
STATE = "state"


def read_weights(
    store: Store, table: TableRef, start: int, stop: int, *, source: ModelSource | None, template: nn.Module
) -> States:
    """Return the states of members start to stop, with a leading member axis.

    States of a source are read from its files. Raises DataError if a file has changed since its outputs were
    recorded, and StoreError if the table keeps no states.
    """
    if source is None:
        return read_kept(store, table, start, stop)
    recorded = store.read(table.part(start, stop), [STATE])[STATE]
    changed = np.flatnonzero(recorded != numbers_of_digests(source.state_digests(start, stop)))
    if len(changed):
        raise DataError(
            f"the weights of model {start + int(changed[0])} of {table.folder} changed after its "
            "outputs were recorded; run the command again when the files no longer change"
        )
    return source.read_states(start, stop, template)


def numbers_of_digests(digests: Sequence[str]) -> Int[np.ndarray, " n_models"]:
    """Return digests of 16 hexadecimal digits as numbers, which a column can hold."""
    return np.array([int(digest, 16) for digest in digests], np.uint64).view(np.int64)
