"""The base class of sources, which are models that were trained elsewhere.

Each source offers some of the masks, outputs and states of its models. A state is all weights and buffers of
a model, by name.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import nn

from pipeline.core.arrays import Indices, Masks
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest
from pipeline.core.registry import Plugin, plugin_name
from pipeline.core.settings.type_hints import describe_value
from pipeline.data.examples import Examples
from pipeline.sources.state_dicts import check_states
from pipeline.training.ensemble import States

# All that a source may offer. Logits and margins are outputs.
OFFERS = frozenset({"masks", "logits", "margins", "states"})


class ModelSource(Plugin):
    """Models trained elsewhere, so that they need not be trained here.

    Models are numbered from 0. If a population comes from a source, its model i is model i of the source.
    start and stop are a range of models, without stop. Outputs cover the training points in the order of the
    data set, then the validation points. Files are read where they lie.
    """

    reads_data: ClassVar[bool] = True

    @abstractmethod
    def offers(self) -> frozenset[str]:
        """Return what can be read of every model, a subset of OFFERS.

        Raises DataError if the files cannot be read.
        """

    @abstractmethod
    def n_models(self) -> int:
        """Return the number of models; raises DataError if they cannot be read."""

    @abstractmethod
    def digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest for each model from start to stop, over everything that it offers."""

    @abstractmethod
    def check(self, examples: Examples) -> None:
        """Raise DataError unless everything offered is readable and covers the points of examples."""

    def only(self, reads: frozenset[str]) -> "ModelSource":
        """Return the same source restricted to reads, a subset of OFFERS.

        Files of other kinds may then be missing, and they are not part of digests. By default the source is
        not restricted.
        """
        return self

    def of_forget_set(self, label: str) -> "ModelSource":
        """Return the source of the oracles of the forget set with this label.

        Raises DataError if there are none.
        """
        raise DataError(
            f"source {plugin_name(self)!r} has no oracles by forget set; use a source that has, such as "
            f"easydub, or train those of {label!r} here"
        )

    def forget_ids(self) -> Indices | None:
        """Return the training ids that no model was trained on, or None if they are not known."""
        return None

    def read_masks(self, start: int, stop: int) -> Masks:
        """Return the masks (n_models, n_train) of models start to stop."""
        raise DataError(f"source {plugin_name(self)!r} offers no masks")

    def read_outputs(self, start: int, stop: int) -> Float[np.ndarray, "n_models n_points *n_classes"]:
        """Return the outputs of models start to stop.

        They are logits (n_models, n_points, n_classes) if these are offered, else margins (n_models,
        n_points).
        """
        raise DataError(f"source {plugin_name(self)!r} offers no outputs")

    def read_states(self, start: int, stop: int, template: nn.Module) -> States:
        """Return the states of models start to stop, to be loaded into a model like template.

        The first axis of each tensor is the model. Raises DataError with the names of missing, extra and
        misshapen tensors.
        """
        raise DataError(f"source {plugin_name(self)!r} offers no states")

    def state_digests(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest of the state for each model from start to stop.

        By default this is the digest that covers everything that the model offers.
        """
        return self.digests(start, stop)

    def places(self, start: int, stop: int) -> tuple[str, ...]:
        """Return a text for the place of each model from start to stop; equal texts mean the same model.

        By default the result is empty, which means that places are not known.
        """
        return ()

    def has_logits(self) -> bool:
        """Return whether read_outputs returns logits, not margins."""
        return "logits" in self.offers()

    def _check_offers(self, found: frozenset[str]) -> None:
        if not found or not found <= OFFERS:
            raise DataError(f"it is {sorted(found)}; expected some of {', '.join(sorted(OFFERS))}")

    def _check_digests(self, found: tuple[str, ...], start: int, stop: int) -> None:
        if len(found) != stop - start:
            raise DataError(f"it holds {len(found)} digests; expected {stop - start}, one for each model")

    def _check_read_masks(self, found: Masks, start: int, stop: int) -> None:
        if found.dtype != bool or found.ndim != 2 or len(found) != stop - start:
            raise DataError(
                f"it is {describe_value(found)}; expected booleans of shape ({stop - start}, n_train)"
            )

    def _check_read_outputs(self, found: Float[np.ndarray, "..."], start: int, stop: int) -> None:
        n_axes = 3 if self.has_logits() else 2
        if found.dtype.kind != "f" or found.ndim != n_axes or len(found) != stop - start:
            raise DataError(
                f"it is {describe_value(found)}; expected floats, {n_axes} axes, the first of length "
                f"{stop - start}"
            )

    def _check_read_states(self, found: States, start: int, stop: int, template: nn.Module) -> None:
        check_states(found, template, stop - start)

    def content_of_first(self, n_models: int) -> str:
        """Return the digest of the first n_models models."""
        return digest(list(self.digests(0, n_models)))

    def content(self) -> str:
        """Return the digest of all models."""
        return self.content_of_first(self.n_models())


def outputs_of(source: ModelSource) -> str | None:
    """Return the kind of outputs a source offers, `logits` or `margins`; None if it offers neither."""
    offers = source.offers()
    return next((kind for kind in ("logits", "margins") if kind in offers), None)


def check_apart(
    first: ModelSource, n_first: int, second: ModelSource, n_second: int, names: tuple[str, str]
) -> None:
    """Raise DataError if the first n_first models of one source are also among n_second of another.

    names are the names of the two populations.
    """
    shared = set(first.digests(0, n_first)) & set(second.digests(0, n_second))
    # Two populations may read different files of the same model. Then digests differ, but places are equal.
    shared = shared or set(first.places(0, n_first)) & set(second.places(0, n_second))
    if shared:
        raise DataError(
            f"{len(shared)} of {n_second} {names[1]} models are also among the {n_first} {names[0]} models; "
            "keep them apart with `skip`"
        )


def check_first(
    source: ModelSource, examples: Examples, template: nn.Module, *, reads: frozenset[str]
) -> None:
    """Raise DataError unless the first model of a source fits the data set and the model template.

    reads, a subset of OFFERS, names what is checked.
    """
    if not source.n_models():
        raise DataError(f"source {plugin_name(source)!r} has no models; give a folder with at least one")
    if "masks" in reads:
        masks = source.read_masks(0, 1)
        if masks.shape[1:] != (examples.n_train,):
            raise DataError(
                f"recorded models have masks over {masks.shape[1:]}; the data need {(examples.n_train,)}"
            )
    if reads & {"logits", "margins"}:
        outputs = source.read_outputs(0, 1)
        expected = (examples.n_points, examples.n_classes) if source.has_logits() else (examples.n_points,)
        if outputs.shape[1:] != expected:
            raise DataError(
                f"recorded models have outputs of shape {outputs.shape[1:]}; the data need {expected}"
            )
        if "masks" in reads and not np.isfinite(outputs).all():
            raise DataError(
                "the outputs of the first recorded model are not finite; expected finite floats to learn from"
            )
    if "states" in reads:
        source.read_states(0, 1, template)
