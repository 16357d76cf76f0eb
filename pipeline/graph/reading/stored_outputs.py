"""Models of a table as judges see them; nothing is read before a judge asks for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.core.arrays import Indices, Labels, Logits, Margins
from pipeline.data.examples import Examples
from pipeline.evaluation.judges.inputs import ModelOutputs
from pipeline.graph.logits_layout import Layout, block_margins, read_blocks, read_stored_margins
from pipeline.graph.reading.kept_states import read_kept
from pipeline.graph.reading.stored_states import read_weights
from pipeline.models.base import Model
from pipeline.sources.base import ModelSource
from pipeline.store.store import Store, TableRef
from pipeline.training.ensemble import Builder


@dataclass(frozen=True)
class SourcedWeights:
    """The source of the weights of models trained elsewhere, and the architecture of these models."""

    source: ModelSource
    model: Model


@dataclass(frozen=True, eq=False)
class StoredOutputs(ModelOutputs):
    """The models of a table.

    states_table is the table with the states, if that is another table, as for an unlearner that moves no
    weights. weights is the source of the states of models trained elsewhere.
    """

    store: Store
    table: TableRef
    layout: Layout
    examples: Examples
    states_table: TableRef | None = None
    weights: SourcedWeights | None = None

    @property
    def labels(self) -> Labels:
        """The labels (n_points,)."""
        return self.examples.labels

    @property
    def n_models(self) -> int:
        """The number of models."""
        return sum(piece.stop - piece.start for piece in self.table.pieces)

    def margins(self, points: Indices | None = None) -> Margins:
        """Return margins (n_models, n_points) in nats, read block by block.

        Blocks without any of the points are not read.
        """
        if points is None:
            return read_stored_margins(self.store, self.table, self.layout, self.labels)
        size, found = self.layout.block_points, np.empty((self.n_models, len(points)), np.float32)
        for block in np.unique(points // size).tolist():
            inside = points // size == block
            found[:, inside] = block_margins(self.store, self.table, self.layout, block, self.labels)[
                :, points[inside] - block * size
            ]
        return found

    def blocks(self) -> Iterator[tuple[slice, Logits]]:
        """Yield points and their logits, one block in memory at a time."""
        return read_blocks(self.store, self.table, self.layout, len(self.labels))

    def states(self) -> Mapping[str, np.ndarray]:
        """Return the states of all models; raises a StoreError if they were not kept."""
        table = self.table if self.states_table is None else self.states_table
        first, last = table.pieces[0].start, table.pieces[-1].stop
        if self.weights is None:
            found = read_kept(self.store, table, first, last)
        else:
            template = Builder(self.weights.model, self.examples.input_shape, self.examples.n_classes)()
            found = read_weights(
                self.store, table, first, last, source=self.weights.source, template=template
            )
        return {name: values.cpu().numpy() for name, values in found.items()}
