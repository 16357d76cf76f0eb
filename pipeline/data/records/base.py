"""The base of all records of models that were trained elsewhere: a mask and outputs for each, as evidence for attribution."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Masks
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest
from pipeline.core.fitting import describe_value
from pipeline.core.registry import Plugin
from pipeline.data.examples import Examples


class Records(Plugin):
    """Models trained elsewhere. They cost nothing here; whether data and recipe are those of this experiment, only the user knows."""

    reads_data: ClassVar[bool] = True

    @abstractmethod
    def models(self) -> tuple[str, ...]:
        """Return one digest for each finished model, in order, over its mask and outputs; raises DataError if they cannot be read."""

    @abstractmethod
    def has_logits(self) -> bool:
        """Return whether outputs are logits of all classes, not margins."""

    @abstractmethod
    def read_masks(self, start: int, stop: int) -> Masks:
        """Return the masks (n_models, n_train) of models start to stop."""

    @abstractmethod
    def read_outputs(self, start: int, stop: int) -> Float[np.ndarray, "n_models n_points *n_classes"]:
        """Return the outputs of models start to stop: logits (n_models, n_points, n_classes) or margins (n_models, n_points)."""

    @abstractmethod
    def check(self, examples: Examples) -> None:
        """Raise DataError unless masks and outputs are whole, finite, and over the points of examples."""

    def _check_read_masks(self, found: Masks, start: int, stop: int) -> None:
        if found.dtype != bool or found.ndim != 2 or len(found) != stop - start:
            raise DataError(f"it is {describe_value(found)}; expected booleans of shape ({stop - start}, n_train)")

    def _check_read_outputs(self, found: Float[np.ndarray, "..."], start: int, stop: int) -> None:
        n_axes = 3 if self.has_logits() else 2
        if found.dtype.kind != "f" or found.ndim != n_axes or len(found) != stop - start or not np.isfinite(found).all():
            raise DataError(f"it is {describe_value(found)}; expected finite floats, {n_axes} axes of which the first has length {stop - start}")

    def content(self) -> str:
        """Return the digest of all models."""
        return self.content_of_first(len(self.models()))

    def content_of_first(self, n_models: int) -> str:
        """Return the digest of the first n_models."""
        return digest(self.models()[:n_models])


def check_apart(learnt: Records, n_learnt: int, heldout: Records, n_heldout: int) -> None:
    """Raise DataError if a held-out model is among those learnt from: predicting it would prove nothing."""
    ours, theirs = learnt.models()[:n_learnt], heldout.models()[:n_heldout]
    shared = set(ours) & set(theirs)
    if shared:
        raise DataError(f"{len(shared)} of {len(theirs)} held-out models are among the {len(ours)} that datamodels learn from; keep them apart with `skip`")


def check_points(records: Records, examples: Examples) -> None:
    """Raise DataError unless the first recorded model has a mask and outputs over the points of examples."""
    if not records.models():
        raise DataError("the records hold no models; give a folder of at least one")
    masks, outputs = records.read_masks(0, 1), records.read_outputs(0, 1)
    expected = (examples.n_points, examples.n_classes) if records.has_logits() else (examples.n_points,)
    if masks.shape[1:] != (examples.n_train,) or outputs.shape[1:] != expected:
        found = f"masks over {masks.shape[1:]} and outputs of shape {outputs.shape[1:]}"
        raise DataError(f"recorded models have {found}; the data need {(examples.n_train,)} and {expected}")
