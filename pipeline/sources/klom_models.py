"""A folder in the layout of KLOM-models as a source.

The folder holds state dicts or margins of full models, and logits or margins of oracles. One file may hold
the margins of all models.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.errors import ConfigError, DataError
from pipeline.core.fingerprint import digest
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.sources.base import ModelSource
from pipeline.sources.easydub_layout import open_array
from pipeline.sources.numbered_files import ForgetSetNumbers, numbered, same_numbers
from pipeline.sources.source_digests import file_digests, grouped_digests
from pipeline.sources.state_dicts import fitted, read_state_dict, read_torch, renamed, stacked
from pipeline.training.ensemble import States

_SPLITS = ("train", "val")
# The two names that the folder of oracles may have, the newer name first.
_ORACLES = ("oracle_models", "oracles")


class KlomModels(ModelSource):
    """Models of a folder in the layout of KLOM-models: the full models, or the oracles of one forget set.

    dataset is the name in the paths, such as CIFAR10 or LIVING17. Of full models the state dicts are read. If
    there are none, the files with the margins of all models are read; their rows have no model numbers. Of
    oracles the first of these that exists is read: a file of logits for each model, a file of margins for
    each model, the files with the margins of all models. For forget_sets, forget_set, skip and keys see the
    source easydub.
    """

    name: ClassVar[str] = "klom_models"

    folder: Path
    dataset: str = setting(neutral="CIFAR10")
    epoch: int = setting(neutral=23, ge=0, le=1_000_000)
    # Excluded from the identity: of_forget_set writes the number of one set into forget_set, which is
    # included.
    forget_sets: ForgetSetNumbers = setting(neutral={}, in_identity=False)
    forget_set: int | None = setting(neutral=None, ge=0, le=1_000_000)
    skip: int = setting(neutral=0, ge=0, le=10_000_000)
    keys: dict[str, str | None] = setting(neutral={})

    @override
    def offers(self) -> frozenset[str]:
        """Return `states` for full models that have them, else the available kind of outputs."""
        if self._states():
            return frozenset({"states"})
        return frozenset({"logits"}) if self._files_by_model()[0] == "logits" else frozenset({"margins"})

    @override
    def n_models(self) -> int:
        """Return the number of models without those that are skipped."""
        numbers = self._numbers()
        return len(numbers) if numbers is not None else max(0, len(self._margins_of_all()[0]) - self.skip)

    @override
    def digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest for each model.

        It covers the model's files, or the files with the margins of all models and the model's row. For
        oracles it also covers the file of the forget set's ids.
        """
        beside = [] if self.forget_set is None else file_digests([self._forget_path(self.forget_set)])
        numbers = self._numbers()
        if numbers is not None:
            files = list(self._files().values())
            groups = [[part[number] for part in files] for number in numbers[start:stop]]
            return tuple(digest([beside, found]) for found in grouped_digests(groups))
        whole = file_digests(self._files_of_all())
        return tuple(
            digest([beside, whole, self.skip + row]) for row in range(start, min(stop, self.n_models()))
        )

    @override
    def of_forget_set(self, label: str) -> "KlomModels":
        if label not in self.forget_sets:
            known = ", ".join(self.forget_sets) or "none"
            raise ConfigError(
                f"source klom_models: forget_sets has no number for {label!r} (it has: {known}); give "
                f"one, such as forget_sets: {{{label}: 1}}"
            )
        return self.model_copy(update={"forget_set": self.forget_sets[label], "forget_sets": {}})

    @override
    def forget_ids(self) -> Indices | None:
        """Return the ids of the forget set in the order of its file; None for full models."""
        return (
            None
            if self.forget_set is None
            else open_array(self._forget_path(self.forget_set), "iu", 1).astype(np.int64)
        )

    @override
    def check(self, examples: Examples) -> None:
        """Raise DataError unless the outputs of the first model cover the points of examples."""
        if "states" in self.offers() or not self.n_models():
            return
        n_points = (examples.n_train, examples.n_points - examples.n_train)
        for split, expected, part in zip(_SPLITS, n_points, self._splits(0, 1), strict=True):
            wanted = (1, expected, examples.n_classes)[: part.ndim]
            if part.shape != wanted:
                raise DataError(
                    f"{self.folder} has {split} outputs of shape {part.shape[1:]} for each model; the "
                    f"data set needs {wanted[1:]}"
                )

    @override
    def read_outputs(self, start: int, stop: int) -> Float[np.ndarray, "n_models n_points *n_classes"]:
        """Return logits or margins over the training points, then the validation points."""
        return np.concatenate(self._splits(start, stop), axis=1).astype(np.float32, copy=False)

    @override
    def read_states(self, start: int, stop: int, template: nn.Module) -> States:
        files, numbers = self._states(), self._numbers() or []
        paths = [files[number] for number in numbers[start:stop]]
        return stacked(
            [fitted(renamed(read_state_dict(path), self.keys), template, str(path)) for path in paths]
        )

    @override
    def places(self, start: int, stop: int) -> tuple[str, ...]:
        """Return the folder, the population and the number of each model, as one text a model.

        The result is empty if one file holds the margins of all models.
        """
        which = f"{self.folder.resolve()} {self.dataset} {self.epoch} {self.forget_set}"
        return tuple(f"{which} {number}" for number in (self._numbers() or [])[start:stop])

    @override
    def state_digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return the digest of the state dict of each model from start to stop."""
        files, numbers = self._states(), self._numbers() or []
        return tuple(file_digests(files[number] for number in numbers[start:stop]))

    def _splits(self, start: int, stop: int) -> list[np.ndarray]:
        """Return the outputs of models start to stop: one array for each split, training first."""
        numbers = self._numbers()
        if numbers is None:
            first, last = start + self.skip, stop + self.skip
            return [tensor[first:last].float().numpy() for tensor in self._margins_of_all()]
        n_axes = 2 if self.has_logits() else 1
        files = self._files()
        return [
            np.stack([_output(files[split][number], n_axes) for number in numbers[start:stop]])
            for split in _SPLITS
        ]

    def _states(self) -> Mapping[int, Path]:
        """Return the files of the state dicts of full models, by number; empty for oracles."""
        pattern = f"full_models/{self.dataset}/sd_{{id}}____epoch_{self.epoch}.pt"
        return {} if self.forget_set is not None else numbered(self.folder, pattern)

    def _files_by_model(self) -> tuple[str, dict[str, Mapping[int, Path]]]:
        """Return the kind of outputs, `logits` or `margins`, and their files by split and number of oracle.

        Both are empty if no file holds the outputs of a single model.
        """
        for kind, suffix in (("logits", "pt"), ("margins", "npy")):
            for top in _ORACLES if self.forget_set is not None else ():
                below = f"{top}/{self.dataset}/forget_set_{self.forget_set}"
                found = {
                    split: numbered(self.folder, f"{below}/{{id}}__{split}_{kind}__{self.epoch}.{suffix}")
                    for split in _SPLITS
                }
                if any(found.values()):
                    return kind, found
        return "", {}

    def _files(self) -> dict[str, Mapping[int, Path]]:
        states = self._states()
        return {"states": states} if states else self._files_by_model()[1]

    def _numbers(self) -> list[int] | None:
        """Return the numbers of the models, ascending, without the skipped ones.

        The result is None if one file holds the margins of all models.
        """
        files = self._files()
        return same_numbers(files, "complete the folder")[self.skip :] if files else None

    def _files_of_all(self) -> list[Path]:
        """Return the files that hold the margins of all models, one for each split.

        Raises DataError if there are none.
        """
        below = f"full_models/{self.dataset}"
        tops = (
            [below]
            if self.forget_set is None
            else [f"{top}/{self.dataset}/only_margins/forget_set_{self.forget_set}" for top in _ORACLES]
        )
        for top in tops:
            files = [self.folder / top / f"{split}_margins_all.pt" for split in _SPLITS]
            if all(file.is_file() for file in files):
                return files
        whose = (
            f"{below}/sd_0____epoch_{self.epoch}.pt"
            if self.forget_set is None
            else f"forget_set_{self.forget_set}"
        )
        raise DataError(
            f"{self.folder} holds no models of KLOM-models for dataset {self.dataset}, epoch {self.epoch} "
            f"({whose}); looked for "
            f"{' and '.join(f'{top}/…_margins_all.pt' for top in tops)} too"
        )

    def _margins_of_all(self) -> list[Tensor]:
        files = self._files_of_all()
        tensors = [read_torch(file) for file in files]
        for file, tensor in zip(files, tensors, strict=True):
            if not isinstance(tensor, Tensor) or tensor.ndim != 2 or not tensor.is_floating_point():
                raise DataError(
                    f"{file} does not contain margins (n_models, n_points); expected one tensor of floats "
                    "with two axes"
                )
        if len(tensors[0]) != len(tensors[1]):
            raise DataError(
                f"{files[0]} holds {len(tensors[0])} models and {files[1].name} {len(tensors[1])}; they "
                "must agree"
            )
        return tensors

    def _forget_path(self, forget_set: int) -> Path:
        return self.folder / f"forget_set_indices/{self.dataset}/forget_set_{forget_set}.npy"


def _output(path: Path, n_axes: int) -> np.ndarray:
    """Return one model's outputs on a split, (n_points, n_classes) or (n_points,), as float32."""
    if path.suffix == ".npy":
        return open_array(path, "f", n_axes).astype(np.float32)
    found = read_torch(path)
    if not isinstance(found, Tensor) or found.ndim != n_axes or not found.is_floating_point():
        raise DataError(
            f"{path} does not contain logits (n_points, n_classes); expected one tensor of floats with "
            f"{n_axes} axes"
        )
    return np.asarray(found.float().numpy())
