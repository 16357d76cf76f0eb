"""Checkpoint files as a source: state dicts in .pt or .safetensors files, one model a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import nn
from typing_extensions import override

from pipeline.core.arrays import Masks
from pipeline.core.errors import ConfigError, DataError
from pipeline.core.fingerprint import digest
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.sources.base import ModelSource
from pipeline.sources.easydub_layout import open_array
from pipeline.sources.numbered_files import ID, numbered
from pipeline.sources.source_digests import file_digests
from pipeline.sources.state_dicts import fitted, read_state_dict, renamed, stacked
from pipeline.training.ensemble import States

FORGET_SET = "{forget_set}"


class CheckpointFiles(ModelSource):
    """The models whose state dicts lie in folder.

    files is the pattern of the file names: {id} stands for the number of a model; without it there is one
    model. The pattern may also contain {forget_set}. forget_sets then gives its value for the label of each
    forget set, and the models are the oracles of this set. entry is the key of the state dict in a file that
    holds a mapping with more entries. masks is an .npy file below folder, (n_models, n_train), whose row k is
    the mask of the model with number k; `subset`, `designed` and `heldout` need it. For skip and keys see the
    source easydub.
    """

    name: ClassVar[str] = "checkpoints"

    folder: Path
    files: str = setting(neutral=f"{ID}.pt")
    entry: str = setting(neutral="")
    masks: str = setting(neutral="")
    # Excluded from the identity: of_forget_set writes the value of one set into `files`, which is included.
    forget_sets: dict[str, str | int] = setting(neutral={}, in_identity=False)
    skip: int = setting(neutral=0, ge=0, le=10_000_000)
    keys: dict[str, str | None] = setting(neutral={})

    @override
    def offers(self) -> frozenset[str]:
        """Return states, and masks if the setting masks names a file."""
        return frozenset({"states", "masks"}) if self.masks else frozenset({"states"})

    @override
    def n_models(self) -> int:
        """Return the number of models without those that are skipped."""
        return len(self._paths())

    @override
    def digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest for each model, over its file and the whole file of masks."""
        masks = file_digests([self.folder / self.masks]) if self.masks else []
        return tuple(digest([masks, one]) for one in self.state_digests(start, stop))

    @override
    def state_digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return the digest of the file of each model from start to stop."""
        return tuple(file_digests(list(self._paths().values())[start:stop]))

    @override
    def of_forget_set(self, label: str) -> "CheckpointFiles":
        if FORGET_SET not in self.files or label not in self.forget_sets:
            raise ConfigError(
                f"source checkpoints does not say which files are the oracles of {label!r}; put "
                f"{FORGET_SET} into `files` "
                f"({self.files!r}) and its value into `forget_sets` (it has: "
                f"{', '.join(self.forget_sets) or 'none'})"
            )
        files = self.files.replace(FORGET_SET, str(self.forget_sets[label]))
        return self.model_copy(update={"files": files, "forget_sets": {}})

    @override
    def check(self, examples: Examples) -> None:
        """Raise DataError unless there are models and, if masks is set, a fitting mask for each."""
        numbers = list(self._paths())
        if not self.masks:
            return
        masks = self._masks()
        if masks.shape[1] != examples.n_train:
            raise DataError(
                f"{self.folder / self.masks} has masks over {masks.shape[1]} points; the data set has "
                f"{examples.n_train}"
            )
        if numbers[-1] >= len(masks):
            raise DataError(
                f"{self.folder / self.masks} has {len(masks)} rows, but model {numbers[-1]} has none; "
                "give each a row"
            )

    @override
    def read_masks(self, start: int, stop: int) -> Masks:
        return np.asarray(self._masks()[list(self._paths())[start:stop]] != 0)

    @override
    def read_states(self, start: int, stop: int, template: nn.Module) -> States:
        paths = list(self._paths().values())[start:stop]
        read = [renamed(read_state_dict(path, entry=self.entry), self.keys) for path in paths]
        return stacked([fitted(state, template, str(path)) for path, state in zip(paths, read, strict=True)])

    def _masks(self) -> np.ndarray:
        return open_array(self.folder / self.masks, "biu", 2)

    def _paths(self) -> Mapping[int, Path]:
        """Return the files by the number of their model, ascending, without the skipped ones.

        Raises DataError if there are none, and ConfigError if `files` still contains {forget_set}.
        """
        if FORGET_SET in self.files:
            raise ConfigError(
                f"source checkpoints: {FORGET_SET} in `files` stands for a forget set; only oracles "
                "belong to one"
            )
        if ID in self.files:
            found = numbered(self.folder, self.files)
        else:
            path = self.folder / self.files
            found = {0: path} if path.is_file() else {}
        if not found:
            raise DataError(
                f"{self.folder} contains no checkpoints named {self.files!r}; set `files`, such as "
                f"'model_{ID}.pt'"
            )
        return dict(list(found.items())[self.skip :])
