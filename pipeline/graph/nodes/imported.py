"""The nodes of populations trained elsewhere.

They store the outputs of a source's models in the same columns as a Population stores those of its own
models. Nothing is trained. Weights stay in the source and are read from there, see
pipeline.graph.reading.stored_states.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from pipeline.core.arrays import Masks
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest
from pipeline.core.registry import Plugin, identity
from pipeline.data.dataset import Dataset
from pipeline.data.masks import pack_masks, retain_mask
from pipeline.evaluation.accuracy import accuracy
from pipeline.graph.logits_layout import Layout
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.models import Models
from pipeline.graph.reading.stored_states import STATE, numbers_of_digests
from pipeline.models.base import Model
from pipeline.sources.base import ModelSource
from pipeline.store.store import Shard
from pipeline.training.ensemble import Builder, compute_logits

# The roles whose models saw a subset of the points, given by their masks.
MASKED = frozenset({"subset", "designed", "heldout"})


@dataclass(frozen=True, kw_only=True)
class Imported(Models):
    """The first n_units models of a source, as a population of some role; they cost nothing here.

    outputs says what is stored: the source's logits, its margins, or logits computed from its weights
    (`states`, only in Evaluated). With margins no accuracies are stored. has_states: the source offers
    weights too, and their digests are stored. forget_key is the key of the forget set that oracles left out.
    """

    title: ClassVar[str] = "read models"

    dataset: Dataset
    records: ModelSource
    layout: Layout
    outputs: Literal["logits", "margins", "states"] = "logits"
    has_states: bool = False
    forget_key: str | None = None

    @override
    def settings(self) -> dict[str, Any]:
        about = {
            "role": self.role,
            "dataset": identity(self.dataset),
            "records": identity(self.records),
            "layout": identity(self.layout),
        }
        return about | ({"has_states": True} if self.has_states else {})

    @override
    def circumstances(self) -> dict[str, Any]:
        """Return one digest of everything that this node reads of the first n_units models."""
        return {"content": self.records.content_of_first(self.n_units)}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (self.dataset, self.records)

    @override
    def unit_contents(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest for each of models start to stop, over everything that is read of it."""
        return tuple(self.records.digests(start, stop))

    @override
    def parents(self) -> dict[str, Parent]:
        return {} if self.forget_key is None else {"forget": Parent(self.forget_key, "content")}

    @override
    def compute(self, work: Work) -> Shard:
        """Store models start to stop as columns."""
        members = np.arange(work.start, work.stop)
        # It is not known whether the models share seeds, so each model gets a seed of its own. Such seeds are
        # negative, because models trained here have seeds of 0 or more.
        columns = {"member": members, "seed": -1 - members, "mask": pack_masks(self._masks(work))}
        if self.has_states:
            columns[STATE] = numbers_of_digests(self.records.state_digests(work.start, work.stop))
        outputs = self._outputs(work)
        if outputs.ndim == 2:
            return Shard(columns=columns | self.layout.margin_columns(outputs))
        n_train, labels = work.examples.n_train, work.examples.labels
        accuracies = {
            "accuracy_train": accuracy(outputs[:, :n_train], labels[:n_train]),
            "accuracy_validation": accuracy(outputs[:, n_train:], labels[n_train:]),
        }
        return Shard(columns=columns | self.layout.columns(outputs) | accuracies)

    def _outputs(self, work: Work) -> Float[np.ndarray, "n_models n_points *n_classes"]:
        return self.records.read_outputs(work.start, work.stop)

    def _masks(self, work: Work) -> Masks:
        """Return the masks (n_models, n_train) of the models.

        Masks of subset and held-out models come from the source. Oracles keep all points but the forget set.
        Models of other roles keep all points.
        """
        n_train = work.examples.n_train
        if self.role in MASKED:
            return self.records.read_masks(work.start, work.stop)
        forget = work.read("forget")["index"] if self.forget_key is not None else None
        if forget is not None:
            check_forget_ids(self.records, forget, self.key)
        mask = np.ones(n_train, bool) if forget is None else retain_mask(n_train, forget)
        return np.broadcast_to(mask, (work.stop - work.start, n_train)).copy()


@dataclass(frozen=True, kw_only=True)
class Evaluated(Imported):
    """Models of a source that offers their weights but not the outputs that are needed.

    The outputs are computed here.
    """

    title: ClassVar[str] = "evaluate models"
    resources_key: ClassVar[str] = "train"

    model: Model

    @property
    @override
    def cost_key(self) -> str:
        return digest(["evaluate", identity(self.model)])

    @override
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"model": identity(self.model), "outputs": "states"}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (*super().plugins(), self.model)

    def _outputs(self, work: Work) -> Float[np.ndarray, "n_models n_points *n_classes"]:
        examples = work.examples
        template = Builder(self.model, examples.input_shape, examples.n_classes)()
        states = self.records.read_states(work.start, work.stop, template)
        on_device = {name: value.to(work.device) for name, value in states.items()}
        return compute_logits(template, on_device, work.feed, kind=work.kind)


def check_forget_ids(source: ModelSource, forget: np.ndarray, key: str) -> None:
    """Raise DataError if a source's models left out other points than those of the forget set."""
    theirs = source.forget_ids()
    if theirs is None or np.array_equal(np.sort(theirs), np.sort(forget)):
        return
    different = np.setxor1d(theirs, forget)
    raise DataError(
        f"{key}: the source's oracles left out {len(theirs)} points, the forget set has "
        f"{len(forget)}, and {len(different)} of them differ (first: {different[0]}); use the "
        "same set in both, for example a rule `file` with the source's own list of ids"
    )
