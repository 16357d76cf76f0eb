"""The layout of EasyDUB: the paths of models, logits, margins and forget sets below one root.

Models are numbered from 0, forget sets from 1. Files of outputs have one row a point: retained points are in
the order of training ids, forgotten points in the order of the forget set's file, which need not be sorted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.core.arrays import Indices
from pipeline.core.errors import DataError
from pipeline.core.npy import map_npy
from pipeline.sources.numbered_files import numbered

# The parts of the data that have outputs, as EasyDUB names them.
RETAIN, FORGET, VALIDATION = "retain", "forget", "val"


# Suffixes of the files of outputs and of weights.
_SUFFIXES = (".npy", ".pt")


@dataclass(frozen=True, kw_only=True)
class EasyDubLayout:
    """The paths of one data set, architecture and epoch below root."""

    root: Path
    dataset: str = "cifar10"
    model: str = "resnet9"
    epoch: int = 23

    def states(self, forget_set: int | None) -> str:
        """Return the pattern of the paths of checkpoints, below root.

        The checkpoints are those of the oracles of forget_set, or of the pretrained models if it is None.
        """
        return f"models/{self.dataset}/{_population(forget_set)}/{self.model}/id_{{id}}_epoch_{self.epoch}.pt"

    def outputs(self, kind: str, forget_set: int | None, part: str) -> str:
        """Return the pattern of the paths of `logits` or `margins` on one part of the data, below root."""
        name = f"id_{{id}}_epoch_{self.epoch}.npy"
        return f"{kind}/{self.dataset}/{_population(forget_set)}/{part}/{self.model}/{name}"

    def forget_path(self, forget_set: int) -> Path:
        """Return the path of the file that lists a forget set's training ids."""
        return self.root / f"forget_sets/{self.dataset}/forget_set_{forget_set}.npy"

    def files(self, pattern: str) -> Mapping[int, Path]:
        """Return the files that match a pattern, by the number of their model."""
        return numbered(self.root, pattern)

    def parts(self, forget_set: int | None) -> tuple[str, ...]:
        """Return the parts of the data that together make up the outputs over all points.

        For pretrained models `retain` holds every training point.
        """
        return (RETAIN, VALIDATION) if forget_set is None else (RETAIN, FORGET, VALIDATION)

    def forget_ids(self, forget_set: int) -> Indices:
        """Return the training ids of a forget set in the order of its file.

        Raises DataError if the file cannot be read, or is not a list of different ids from 0.
        """
        path = self.forget_path(forget_set)
        if not path.is_file():
            known = [str(number) for number in self.forget_sets()]
            raise DataError(f"{path} does not exist; forget sets there: {', '.join(known) or 'none'}")
        found = open_array(path, "iu", 1)
        repeated = len(np.unique(found)) < len(found)
        if not len(found) or repeated or found.min() < 0:
            what = (
                "is empty"
                if not len(found)
                else "lists an id twice"
                if repeated
                else f"lists id {found.min()}"
            )
            raise DataError(f"{path} {what}; expected different training ids from 0")
        return found.astype(np.int64)

    def forget_sets(self) -> list[int]:
        """Return the numbers of the forget sets that have a file of ids."""
        return list(numbered(self.root, f"forget_sets/{self.dataset}/forget_set_{{id}}.npy"))

    def lacking(self) -> str:
        """Return in words which of dataset, model and epoch the folder lacks, and which it has."""
        there = sorted(set(self._find_names()))
        if not there:
            return f"has nothing of EasyDUB's, such as {self.outputs('margins', None, RETAIN)}"
        wanted = (("dataset", self.dataset), ("model", self.model), ("epoch", str(self.epoch)))
        absent = [
            f"no {name} {value}"
            for (name, value), found in zip(wanted, zip(*there, strict=True), strict=True)
            if value not in found
        ]
        if self.has_its_names():
            return "has other files of this data set, model and epoch, but not these; complete the folder"
        has = "; ".join(f"dataset {dataset}, model {model}, epoch {epoch}" for dataset, model, epoch in there)
        together = "nothing of " + ", ".join(f"{name} {value}" for name, value in wanted)
        return f"has {', '.join(absent) or together}; it has: {has}"

    def has_its_names(self) -> bool:
        """Return whether the folder has any file of this data set, model and epoch."""
        return (self.dataset, self.model, str(self.epoch)) in set(self._find_names())

    def _find_names(self) -> Iterator[tuple[str, str, str]]:
        """Yield the data set, the architecture and the epoch of each model's file, as its path gives them."""
        for top in ("margins", "logits", "models"):
            for path in (self.root / top).rglob("id_*_epoch_*"):
                folders = path.relative_to(self.root).parts
                if len(folders) > 3 and path.suffix in _SUFFIXES:
                    yield folders[1], folders[-2], path.stem.rpartition("_")[2]


def open_array(path: Path, kinds: str, n_axes: int) -> npt.NDArray[np.generic]:
    """Return the memory-mapped array of an .npy file.

    kinds holds the accepted letters of dtype.kind, such as "iu" for integers. Raises DataError if the file
    cannot be read, or if the array has another kind of dtype or another number of axes.
    """
    try:
        found = map_npy(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}); expected a plain .npy array") from error
    if found.dtype.kind not in kinds or found.ndim != n_axes:
        words = "integers" if kinds == "iu" else "floating-point numbers"
        raise DataError(f"{path} holds {found.dtype} of shape {found.shape}; expected {words}, {n_axes} axes")
    return found


def _population(forget_set: int | None) -> str:
    return "pretrain" if forget_set is None else f"oracle/forget_{forget_set}"
