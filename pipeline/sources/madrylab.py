"""Masks and outputs of models, in the files that MadryLab's package `datamodels` writes.

Each file is an .npy array with one row a model. `_completed.npy` is 1 for each row that is finished.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from pipeline.core.arrays import Mask, Masks
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import DIGEST_LENGTH
from pipeline.core.npy import map_npy
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.sources.base import ModelSource

COMPLETED = "_completed.npy"
# Names of files of outputs. If the settings name no file, the first of these that exists is read.
_OUTPUTS = ("logits.npy", "margins.npy")


class MadryLab(ModelSource):
    """The finished models of a folder.

    masks is the file of masks (num_models, n_train), 1 where a model was trained on the point. outputs names
    files of logits (num_models, n, n_classes) or margins (num_models, n). The points of the first file, the
    second and so on are together the training points, then the validation points. If outputs is left out,
    logits.npy is read, or else margins.npy. skip is the number of finished models to leave out, the first
    ones, for example because another population uses them.
    """

    name: ClassVar[str] = "madrylab"

    folder: Path
    masks: str = setting(neutral="masks.npy")
    outputs: tuple[str, ...] = setting(neutral=(), max_length=8)
    skip: int = setting(neutral=0, ge=0, le=10_000_000)

    @override
    def offers(self) -> frozenset[str]:
        """Return masks, and logits if the outputs have three axes, else margins."""
        return frozenset({"masks", "logits" if self._outputs()[0].ndim == 3 else "margins"})

    @override
    def n_models(self) -> int:
        """Return the number of finished models without those that are skipped."""
        return len(self._finished())

    @override
    def digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest for each model, over its mask and outputs."""
        return self._content().models[start:stop]

    @override
    def read_masks(self, start: int, stop: int) -> Masks:
        return np.asarray(self._masks()[self._finished()[start:stop]] != 0)

    @override
    def read_outputs(self, start: int, stop: int) -> Float[np.ndarray, "n_models n_points *n_classes"]:
        """Return the outputs of models start to stop as float32."""
        rows = self._finished()[start:stop]
        return np.concatenate([array[rows].astype(np.float32) for array in self._outputs()], axis=1)

    @override
    def check(self, examples: Examples) -> None:
        """Raise DataError unless the files fit the data and the finished models can be learnt from."""
        n_train, outputs = examples.n_train, self._outputs()
        if self._masks().shape[1] != n_train:
            found = self._masks().shape[1]
            raise DataError(
                f"{self.folder / self.masks} has masks over {found} training points, the data set has "
                f"{n_train}; they must agree"
            )
        width = (sum(array.shape[1] for array in outputs), *outputs[0].shape[2:])
        expected = [(examples.n_points, examples.n_classes), (examples.n_points,)]
        if width not in expected:
            raise DataError(
                f"{self.folder} has outputs {width} of each model; expected logits {expected[0]} or "
                f"margins {expected[1]}, the {n_train} training points first"
            )
        content = self._content()
        if content.broken:
            raise DataError(f"{self.folder}: {content.broken}")
        if len(content.models) < 3:
            raise DataError(
                f"{self.folder} has {len(content.models)} finished models after the first {self.skip}, "
                "which are skipped; at least 3 are needed"
            )
        if content.alike:
            raise DataError(f"{self.folder}: {content.alike}")

    def _masks(self) -> np.ndarray:
        return _open(self.folder / self.masks, "biu", (2,))

    def _names(self) -> tuple[str, ...]:
        """Return the names of the files of outputs."""
        names = self.outputs or tuple(name for name in _OUTPUTS if (self.folder / name).is_file())[:1]
        if not names:
            raise DataError(
                f"{self.folder} has neither {' nor '.join(_OUTPUTS)}; name the files of outputs with "
                "`outputs`"
            )
        return names

    def _outputs(self) -> list[np.ndarray]:
        arrays = [_open(self.folder / name, "f", (2, 3)) for name in self._names()]
        if len({array.shape[2:] for array in arrays}) > 1:
            raise DataError(
                f"{self.folder} has outputs of shapes {[array.shape for array in arrays]}; all must be "
                "logits of the same classes, or all margins"
            )
        return arrays

    def _finished(self) -> np.ndarray:
        """Return the rows of finished models that are not skipped.

        Raises DataError if the files have different numbers of models.
        """
        if not (self.folder / COMPLETED).is_file() and self.folder.is_dir():
            raise DataError(
                f"{self.folder / COMPLETED} does not exist; if all {len(self._masks())} models are "
                "finished, make it with "
                f"numpy.save('{self.folder / COMPLETED}', numpy.ones({len(self._masks())}, bool))"
            )
        completed = _open(self.folder / COMPLETED, "biu", (1,))
        if completed.size and not 0 <= completed.min() <= completed.max() <= 1:
            found = f"{completed.min()} to {completed.max()}"
            raise DataError(
                f"{self.folder / COMPLETED} holds {found}; expected 1 for each finished row and 0 for the "
                "others"
            )
        counts = {len(completed), len(self._masks()), *(len(array) for array in self._outputs())}
        if len(counts) > 1:
            raise DataError(
                f"{self.folder} has files of {', '.join(map(str, sorted(counts)))} models; all must have "
                "a row for each"
            )
        return np.flatnonzero(completed)[self.skip :]

    def _content(self) -> "_Content":
        self._finished()
        about = [(self.folder / name).stat() for name in (COMPLETED, self.masks, *self._names())]
        return _look_at(self, tuple((file.st_size, file.st_mtime_ns) for file in about))


@dataclass(frozen=True)
class _Content:
    """Results of reading the mask and the outputs of every finished model.

    models holds the digest of each model. broken says in words what is wrong with the first model that cannot
    be used. alike says why nothing can be learnt from the models because they are too alike. Both are empty
    if nothing is wrong.
    """

    models: tuple[str, ...]
    broken: str
    alike: str


@functools.lru_cache(maxsize=8)
def _look_at(records: MadryLab, versions: tuple[tuple[int, int], ...]) -> _Content:
    """Return the results of reading every finished model of records.

    versions, the sizes and times of the files, are only a key of the cache: a process reads unchanged files
    once.
    """
    masks, outputs, models, broken = records._masks(), records._outputs(), [], ""
    differs = np.zeros(masks.shape[1], bool)
    first = None
    for row in records._finished().tolist():
        total = hashlib.sha256()
        for array in (masks, *outputs):
            total.update(np.ascontiguousarray(array[row]).view(np.uint8).data)
        models.append(total.hexdigest()[:DIGEST_LENGTH])
        first = masks[row] if first is None else first
        differs |= masks[row] != first
        broken = broken or _fault(row, masks[row], [array[row] for array in outputs])
    return _Content(
        tuple(models), broken, "" if broken or first is None else _why_alike(first != 0, differs, models)
    )


def _why_alike(mask: Mask, differs: Mask, models: list[str]) -> str:
    """Return why nothing can be learnt from the masks; empty if something can.

    mask is the first mask; differs marks the points where any other mask differs from it.
    """
    if mask.all() and not differs.any():
        return f"all masks keep every training point, {_NO_EFFECT}"
    if not differs.any():
        return f"all masks are equal, {_NO_EFFECT}"
    if len(set(models)) < 2:
        return "all models are equal, mask and outputs; save a row for each model"
    return ""


def _fault(row: int, mask: np.ndarray, outputs: list[np.ndarray]) -> str:
    if mask.min() < 0 or mask.max() > 1:
        return f"the mask of row {row} holds {mask.min()} to {mask.max()}; expected 0 and 1"
    if not mask.any():
        found = f"the mask of row {row} keeps no training point, though it is marked as finished"
        return f"{found}; mark it as unfinished in {COMPLETED}"
    if not all(np.isfinite(output).all() for output in outputs):
        return f"row {row} has outputs that are NaN or infinite; mark it as unfinished in {COMPLETED}"
    return ""


def _open(path: Path, kinds: str, dimensions: tuple[int, ...]) -> np.ndarray:
    """Return the memory-mapped array of an .npy file.

    Raises DataError if the file is missing or pickled, or if the array has another kind of dtype or another
    number of dimensions.
    """
    try:
        found = map_npy(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be mapped ({getattr(error, 'strerror', None) or error}); expected a plain "
            ".npy array"
        ) from error
    if found.dtype.kind not in kinds or found.ndim not in dimensions or not found.flags.c_contiguous:
        raise DataError(
            f"{path} holds {found.dtype} of shape {found.shape}; expected "
            f"{' or '.join(map(str, dimensions))} dimensions of {_WORDS[kinds]}"
        )
    return found


_NO_EFFECT = "so no effect of a point shows; use models trained on subsets that differ"
_WORDS = {"biu": "booleans or integers", "f": "floating-point numbers"}
