"""Export of an experiment's models as a folder in EasyDUB's layout.

The folder holds logits, margins and states of the full models and of all oracles.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices, Labels
from pipeline.core.errors import DataError
from pipeline.evaluation.margins import margins
from pipeline.graph.logits_layout import Layout, margin_column, read_logits, read_stored_margins
from pipeline.graph.nodes.train import CHECKPOINT, read_states
from pipeline.sources.easydub_layout import FORGET, RETAIN, VALIDATION, EasyDubLayout
from pipeline.sources.state_dicts import write_state_dict
from pipeline.store.store import Store, TableRef
from pipeline.training.ensemble import States

# The number of members whose outputs are in memory at once.
AT_ONCE = 20


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The tables to export: the full models, and the ids and the oracles of each forget set by its number.

    The oracles of a forget set may be in more than one table.
    """

    full: TableRef
    forget_ids: Mapping[int, Indices]
    oracles: Mapping[int, Sequence[TableRef]]


@dataclass(frozen=True, kw_only=True)
class EasyDubWriter:
    """Writes the tables of a store.

    labels are those of all points; the first n_train points are training points.
    """

    store: Store
    layout: Layout
    labels: Labels
    n_train: int

    def write(self, place: EasyDubLayout, exported: Exported) -> dict[str, int]:
        """Write the folder and return how many models and files it holds.

        Raises DataError if the folder exists and is not empty.
        """
        with _unfinished(place.root) as half:
            inside = EasyDubLayout(root=half, dataset=place.dataset, model=place.model, epoch=place.epoch)
            n_models = self._write_population(inside, None, [exported.full], self._parts(exported.forget_ids))
            for number, ids in exported.forget_ids.items():
                _save(inside.forget_path(number), ids)
                retain = np.setdiff1d(np.arange(self.n_train), ids)
                rows = {RETAIN: retain, FORGET: ids, VALIDATION: self._validation}
                n_models += self._write_population(inside, number, exported.oracles[number], rows)
            return {"n_models": n_models, "n_files": sum(path.is_file() for path in half.rglob("*"))}

    @property
    def _validation(self) -> Indices:
        return np.arange(self.n_train, len(self.labels))

    def _parts(self, forget_ids: Mapping[int, Indices]) -> dict[str, Indices]:
        """Return the point ids of each part of the full models' outputs; `retain` is all training points."""
        of_sets = {f"forget_{number}": ids for number, ids in forget_ids.items()}
        return {RETAIN: np.arange(self.n_train), VALIDATION: self._validation} | of_sets

    def _write_population(
        self,
        place: EasyDubLayout,
        forget_set: int | None,
        tables: Sequence[TableRef],
        rows: Mapping[str, Indices],
    ) -> int:
        """Write the members of tables, numbered across all tables, and return how many there are.

        forget_set is the number of the set, None for the full models. rows are the point ids of each part.
        """
        number = 0
        for table in tables:
            for start in range(0, table.pieces[-1].stop, AT_ONCE):
                stop = min(start + AT_ONCE, table.pieces[-1].stop)
                outputs, states = self._outputs(table.part(start, stop)), self._states(table, start, stop)
                for member in range(stop - start):
                    for kind, values in outputs.items():
                        for part, ids in rows.items():
                            _save(
                                _path(place, place.outputs(kind, forget_set, part), number),
                                values[member][ids],
                            )
                    if states:
                        state = {name: value[member] for name, value in states.items()}
                        _write(_path(place, place.states(forget_set), number), write_state_dict(state))
                    number += 1
        return number

    def _outputs(self, table: TableRef) -> dict[str, Float[np.ndarray, "..."]]:
        if margin_column(0) in self.store.columns(table):
            return {"margins": read_stored_margins(self.store, table, self.layout, self.labels)}
        logits = read_logits(self.store, table, self.layout, len(self.labels))
        return {"logits": logits, "margins": margins(logits, self.labels)}

    def _states(self, table: TableRef, start: int, stop: int) -> States:
        """Return the states of members start to stop; empty if the table keeps none."""
        shards = [piece.shard for piece in table.part(start, stop).pieces]
        has_states = all(self.store.has_beside(table.folder, shard, CHECKPOINT) for shard in shards)
        return read_states(self.store, table, start, stop) if has_states else {}


def _path(place: EasyDubLayout, pattern: str, number: int) -> Path:
    return place.root / pattern.format(id=number)


def _save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values, allow_pickle=False)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which is renamed to folder once its content is complete.

    Files left by an earlier try are removed. Raises DataError if folder exists and is not empty.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder} exists already; choose another folder, or remove it")
    half = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    try:
        yield half
        half.replace(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
