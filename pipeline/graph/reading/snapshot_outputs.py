"""The outputs of unlearned models at each snapshot, for judges.

Each table is read once for all snapshots, as far as its logits stay within a limit of memory.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pipeline.core.arrays import Indices, Labels, Logits, Margins
from pipeline.evaluation.judges.inputs import JudgeInput, ModelOutputs
from pipeline.evaluation.margins import margins
from pipeline.graph.logits_layout import Layout, column
from pipeline.graph.nodes.unlearn import AFTER
from pipeline.graph.reading.kept_states import read_kept
from pipeline.store.rows import Rows
from pipeline.store.store import Store, TableRef

# At most this many bytes of a table's logits stay in memory from one snapshot to the next. Other logits are
# read again for each snapshot.
_MOST_KEPT = 1 << 30


@dataclass(frozen=True, kw_only=True, eq=False)
class SnapshotTable:
    """A table of unlearned models with snapshots, and the labels (n_points,)."""

    store: Store
    table: TableRef
    layout: Layout
    labels: Labels
    _blocks: dict[int, Logits] = field(default_factory=dict)

    @cached_property
    def marks(self) -> Rows:
        """The epochs or steps taken, and the samples used, at each snapshot of each model."""
        return self.store.read_rows(self.table, [AFTER, "samples"])

    @cached_property
    def all_margins(self) -> np.ndarray:
        """The margins (n_rows, n_points) of all models at all snapshots."""
        parts = [margins(block, self.labels[points]) for points, block in self.blocks()]
        return np.concatenate(parts, axis=1)

    def margins_of(self, points: Indices) -> np.ndarray:
        """Return the margins (n_rows, n_points) of some points; blocks without any of them are not read."""
        size = self.layout.block_points
        found = np.empty((int(self.marks.counts.sum()), len(points)), np.float32)
        for number in np.unique(points // size).tolist():
            inside = points // size == number
            chosen = points[inside]
            found[:, inside] = margins(self._block(number)[:, chosen - number * size], self.labels[chosen])
        return found

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield points and the logits (n_rows, n_block_points, n_classes) of all models at all snapshots."""
        n_points = len(self.labels)
        for number in range(self.layout.n_blocks(n_points)):
            yield self.layout.points(number, n_points), self._block(number)

    def _block(self, number: int) -> Logits:
        if number in self._blocks:
            return self._blocks[number]
        block = self.store.read_rows(self.table, [column(number)]).columns[column(number)]
        if block.nbytes + sum(kept.nbytes for kept in self._blocks.values()) <= _MOST_KEPT:
            self._blocks[number] = block
        return block


@dataclass(frozen=True, eq=False)
class SnapshotOutputs(ModelOutputs):
    """The models of a table at snapshot `number` (from 0), or at their last one if they have fewer."""

    source: SnapshotTable
    number: int

    @property
    def n_models(self) -> int:
        """The number of models."""
        return len(self._rows)

    @property
    def after(self) -> int:
        """The number of epochs or steps that the models had taken."""
        return int(self.source.marks.columns[AFTER][self._rows].max())

    @property
    def samples(self) -> float:
        """The samples that a model had used in gradient evaluations, as a mean over models."""
        return float(self.source.marks.columns["samples"][self._rows].mean())

    def margins(self, points: Indices | None = None) -> Margins:
        """Return margins (n_models, n_points) in nats, of some points or of all."""
        if points is None:
            return self.source.all_margins[self._rows]
        return self.source.margins_of(points)[self._rows]

    def blocks(self) -> Iterator[tuple[slice, Logits]]:
        """Yield points and their logits."""
        for points, block in self.source.blocks():
            yield points, block[self._rows]

    def states(self) -> Mapping[str, np.ndarray]:
        """Return the states of all models; raises a StoreError if they were not kept."""
        table = self.source.table
        first, last = table.pieces[0].start, table.pieces[-1].stop
        states = read_kept(self.source.store, table, first, last, snapshot=self.number)
        return {name: values.cpu().numpy() for name, values in states.items()}

    @cached_property
    def _rows(self) -> np.ndarray:
        return self.source.marks.at(self.number)


@dataclass(frozen=True, eq=False)
class KeptOutputs(ModelOutputs):
    """Models that every snapshot is compared with.

    Margins stay in memory once they are read. Logits do so only if all of them take at most _MOST_KEPT bytes.
    """

    models: ModelOutputs
    _kept: list[tuple[slice, Logits]] = field(default_factory=list)
    _margins: dict[bytes | None, Margins] = field(default_factory=dict)

    @property
    def n_models(self) -> int:
        """The number of models."""
        return self.models.n_models

    def margins(self, points: Indices | None = None) -> Margins:
        """Return margins (n_models, n_points) in nats, of some points or of all."""
        place = None if points is None else points.tobytes()
        if place not in self._margins:
            self._margins[place] = self.models.margins(points)
        return self._margins[place].copy()

    def blocks(self) -> Iterator[tuple[slice, Logits]]:
        """Yield points and their logits."""
        if self._kept:
            yield from ((points, block.copy()) for points, block in self._kept)
            return
        read: list[tuple[slice, Logits]] = []
        n_bytes = 0
        for points, block in self.models.blocks():
            n_bytes += block.nbytes
            read = [*read, (points, block.copy())] if n_bytes <= _MOST_KEPT else []
            yield points, block
        self._kept.extend(read)

    def states(self) -> Mapping[str, np.ndarray]:
        """Return the states of all models."""
        return self.models.states()


def snapshots_of(store: Store, table: TableRef, layout: Layout, labels: Labels) -> list[SnapshotOutputs]:
    """Return the snapshots of a table of models in order, if any; the last is the table's result."""
    if AFTER not in store.columns(table):
        return []
    source = SnapshotTable(store=store, table=table, layout=layout, labels=labels)
    return [SnapshotOutputs(source, number) for number in range(source.marks.n_most)]


def each_snapshot(found: JudgeInput, snapshots: Sequence[SnapshotOutputs]) -> Iterator[JudgeInput]:
    """Yield the input of a judge for each snapshot; the models that it is compared with are read once."""
    populations = {name: KeptOutputs(models) for name, models in found.populations.items()}
    start = None if found.start is None else KeptOutputs(found.start)
    oracle = KeptOutputs(found.oracle)
    shared = dataclasses.replace(found, oracle=oracle, start=start, populations=populations)
    for snapshot in snapshots:
        yield dataclasses.replace(shared, unlearned=snapshot)
