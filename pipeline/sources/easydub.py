"""A folder in EasyDUB's layout as a source.

It offers the pretrained models, and the oracles of each forget set.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from torch import nn
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.errors import ConfigError, DataError
from pipeline.core.fingerprint import digest
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.sources.base import ModelSource
from pipeline.sources.easydub_layout import FORGET, RETAIN, VALIDATION, EasyDubLayout, open_array
from pipeline.sources.numbered_files import ForgetSetNumbers, same_numbers
from pipeline.sources.source_digests import file_digests, grouped_digests
from pipeline.sources.state_dicts import fitted, read_state_dict, renamed, stacked
from pipeline.training.ensemble import States

_Kind = Literal["logits", "margins", "states"]
# The number of axes of one model's outputs, by kind.
AXES = {"logits": 2, "margins": 1}


class EasyDub(ModelSource):
    """The pretrained models of a folder in EasyDUB's layout, or the oracles of one of its forget sets.

    dataset, model and epoch are the names in the paths. forget_sets maps the labels of forget sets in this
    experiment to their numbers in the folder. forget_set is the number of the set whose oracles are read
    (null: the pretrained models are read). use lists the kinds of files that are read (null: all that exist).
    skip is the number of models to leave out, those with the lowest numbers. keys maps names of tensors in
    the files to names in the experiment's model.
    """

    name: ClassVar[str] = "easydub"

    folder: Path
    dataset: str = setting(neutral="cifar10")
    model: str = setting(neutral="resnet9")
    epoch: int = setting(neutral=23, ge=0, le=1_000_000)
    # Excluded from the identity: of_forget_set writes the number of one set into forget_set, which is
    # included.
    forget_sets: ForgetSetNumbers = setting(neutral={}, in_identity=False)
    forget_set: int | None = setting(neutral=None, ge=1, le=1_000_000)
    use: tuple[_Kind, ...] | None = setting(neutral=None, min_length=1)
    skip: int = setting(neutral=0, ge=0, le=10_000_000)
    keys: dict[str, str | None] = setting(neutral={})

    @override
    def offers(self) -> frozenset[str]:
        """Return the kinds of files that exist and that `use` does not exclude."""
        return frozenset(self._kinds())

    @override
    def n_models(self) -> int:
        """Return the number of models without those that are skipped."""
        return len(self._numbers())

    @override
    def digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest for each model, over its files, and for oracles over the forget set's file."""
        beside = (
            [] if self.forget_set is None else file_digests([self._layout().forget_path(self.forget_set)])
        )
        return tuple(digest([beside, found]) for found in grouped_digests(self._files_of(start, stop)))

    @override
    def only(self, reads: frozenset[str]) -> "EasyDub":
        """Return the same folder, restricted to files of the kinds in reads."""
        kinds: tuple[_Kind, ...] = ("logits", "margins", "states")
        return self.model_copy(update={"use": tuple(kind for kind in kinds if kind in reads)})

    @override
    def of_forget_set(self, label: str) -> "EasyDub":
        if label not in self.forget_sets:
            known = ", ".join(self.forget_sets) or "none"
            raise ConfigError(
                f"source easydub: forget_sets has no number for {label!r} (it has: {known}); give one, "
                f"such as forget_sets: {{{label}: 2}}"
            )
        return self.model_copy(update={"forget_set": self.forget_sets[label], "forget_sets": {}})

    @override
    def forget_ids(self) -> Indices | None:
        """Return the ids of the forget set in the order of its file; None for pretrained models."""
        return None if self.forget_set is None else self._layout().forget_ids(self.forget_set)

    @override
    def check(self, examples: Examples) -> None:
        """Raise DataError unless the files of outputs of all models cover the points of examples."""
        expected = self._rows(examples.n_train, examples.n_points)
        for kind in self._output_kinds():
            for part, files in self._parts(kind).items():
                for number in self._numbers():
                    found = open_array(files[number], "f", AXES[kind]).shape
                    wanted = (expected[part], examples.n_classes)[: AXES[kind]]
                    if found != wanted:
                        raise DataError(f"{files[number]} has shape {found}; the data set needs {wanted}")

    @override
    def read_outputs(self, start: int, stop: int) -> Float[np.ndarray, "n_models n_points *n_classes"]:
        """Return logits or margins over the training points by ascending id, then the validation points."""
        kind = self._output_kinds()[0]
        parts = self._parts(kind)
        return np.stack([self._assembled(kind, parts, number) for number in self._numbers()[start:stop]])

    @override
    def read_states(self, start: int, stop: int, template: nn.Module) -> States:
        paths = [self._kinds()["states"][0][number] for number in self._numbers()[start:stop]]
        return stacked(
            [fitted(renamed(read_state_dict(path), self.keys), template, str(path)) for path in paths]
        )

    @override
    def places(self, start: int, stop: int) -> tuple[str, ...]:
        """Return the folder, the population and the number of each model, as one text a model."""
        which = f"{self.folder.resolve()} {self.dataset} {self.model} {self.epoch} {self.forget_set}"
        return tuple(f"{which} {number}" for number in self._numbers()[start:stop])

    @override
    def state_digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return the digest of the checkpoint of each model from start to stop."""
        return tuple(
            file_digests(self._kinds()["states"][0][number] for number in self._numbers()[start:stop])
        )

    def _assembled(self, kind: str, parts: Mapping[str, Mapping[int, Path]], number: int) -> np.ndarray:
        arrays = {part: open_array(files[number], "f", AXES[kind]) for part, files in parts.items()}
        ids = self.forget_ids()
        if ids is None:
            train = arrays[RETAIN]
        else:
            n_train = len(arrays[RETAIN]) + len(ids)
            if ids.max() >= n_train or len(arrays[FORGET]) != len(ids):
                raise DataError(
                    f"{parts[FORGET][number]} has {len(arrays[FORGET])} rows for {len(ids)} ids up to "
                    f"{ids.max()} of {n_train} "
                    "training points; check that the forget set and the outputs belong together"
                )
            train = np.empty((n_train, *arrays[RETAIN].shape[1:]), arrays[RETAIN].dtype)
            train[np.setdiff1d(np.arange(n_train), ids)] = arrays[RETAIN]
            train[ids] = arrays[FORGET]
        return np.concatenate([train, arrays[VALIDATION]]).astype(np.float32, copy=False)

    def _rows(self, n_train: int, n_points: int) -> dict[str, int]:
        ids = self.forget_ids()
        if ids is not None and ids.max() >= n_train:
            path = self._layout().forget_path(self.forget_set or 0)
            raise DataError(f"{path} lists id {ids.max()}; the data set has {n_train} training points")
        n_forget = 0 if ids is None else len(ids)
        return {RETAIN: n_train - n_forget, FORGET: n_forget, VALIDATION: n_points - n_train}

    def _layout(self) -> EasyDubLayout:
        return EasyDubLayout(root=self.folder, dataset=self.dataset, model=self.model, epoch=self.epoch)

    def _kinds(self) -> dict[str, list[Mapping[int, Path]]]:
        """Return for each kind that is read a list of mappings from the number of a model to its file.

        Outputs have one mapping for each part of the data, states have one mapping. Raises DataError if no
        kind has files, or if a kind in `use` has none.
        """
        layout, parts = self._layout(), self._layout().parts(self.forget_set)
        found = {"states": [layout.files(layout.states(self.forget_set))]}
        found |= {
            kind: [layout.files(layout.outputs(kind, self.forget_set, part)) for part in parts]
            for kind in AXES
        }
        there = {
            kind: files
            for kind, files in found.items()
            if any(files) and (self.use is None or kind in self.use)
        }
        absent = sorted(set(self.use or ()) - there.keys())
        if not there or absent:
            what = " and ".join(absent) or "models"
            whose = (
                "pretrained models" if self.forget_set is None else f"oracles of forget set {self.forget_set}"
            )
            raise DataError(
                f"{self.folder} holds no {what} of {whose} ({layout.states(self.forget_set)}): "
                f"it {layout.lacking()}"
            )
        return there

    def _output_kinds(self) -> list[_Kind]:
        """Return the available kinds of outputs; the first is the one that read_outputs returns."""
        kinds: tuple[_Kind, ...] = ("logits", "margins")
        return [kind for kind in kinds if kind in self.offers()]

    def _parts(self, kind: str) -> dict[str, Mapping[int, Path]]:
        return dict(zip(self._layout().parts(self.forget_set), self._kinds()[kind], strict=True))

    def _numbers(self) -> list[int]:
        """Return the file numbers of the models, ascending; the first `skip` are left out."""
        parts = self._layout().parts(self.forget_set)
        files = {
            kind if kind == "states" else f"{kind} of {part}": found
            for kind, every in self._kinds().items()
            for part, found in zip(parts, every, strict=False)
        }
        return same_numbers(files, "complete the folder, or say with `use` which kinds to read")[self.skip :]

    def _files_of(self, start: int, stop: int) -> list[list[Path]]:
        kinds = self._kinds()
        return [
            [files[number] for kind in sorted(kinds) for files in kinds[kind]]
            for number in self._numbers()[start:stop]
        ]
