"""What a judge may look at: outputs and states of models on both sides, read when it asks for them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.core.arrays import Indices, Labels, Logits, Margins
from pipeline.core.errors import DataError
from pipeline.evaluation.margins import margins


class ModelOutputs(ABC):
    """Models by what they put out on all points. A judge finds here what it states in its needs."""

    @property
    @abstractmethod
    def n_models(self) -> int:
        """How many models there are."""

    @abstractmethod
    def margins(self, points: Indices | None = None) -> Margins:
        """Return margins (n_models, n_points) in nats of all or some points, NaN for logits not finite."""

    @abstractmethod
    def blocks(self) -> Iterator[tuple[slice, Logits]]:
        """Yield points and their logits (n_models, n_block_points, n_classes), a block at a time."""

    @abstractmethod
    def states(self) -> Mapping[str, np.ndarray]:
        """Return parameters and buffers by name, (n_models, ...) each."""

    def logits(self) -> Logits:
        """Return all logits (n_models, n_points, n_classes)."""
        return np.concatenate([block for _, block in self.blocks()], axis=1)


@dataclass(frozen=True, eq=False)
class ArrayOutputs(ModelOutputs):
    """Models in memory: logits (n_models, n_points, n_classes), labels (n_points,), states if any."""

    all_logits: Logits
    labels: Labels
    all_states: Mapping[str, np.ndarray] | None = None

    @property
    def n_models(self) -> int:
        """How many models there are."""
        return len(self.all_logits)

    def margins(self, points: Indices | None = None) -> Margins:
        """Return margins (n_models, n_points) in nats, of some points or of all."""
        chosen = slice(None) if points is None else points
        return margins(self.all_logits[:, chosen], self.labels[chosen])

    def blocks(self) -> Iterator[tuple[slice, Logits]]:
        """Yield everything as one block."""
        yield slice(0, len(self.labels)), self.all_logits

    def states(self) -> Mapping[str, np.ndarray]:
        """Return the states; raises DataError if there are none."""
        if self.all_states is None:
            raise DataError("these models have no states; give all_states, or use a judge that needs none")
        return self.all_states


@dataclass(frozen=True, kw_only=True)
class JudgeInput:
    """Everything that is known of one unlearner on one forget set.

    unlearned and oracle: models after unlearning, and models retrained without the set. labels (n_points,).
    splits: ids of the points of `forget`, `retain` and `validation`. start: the models before unlearning, for
    a judge that needs `full`. populations: the judge's own models, by the name that its `populations` gives
    them. treated_unlearned and treated_oracle: both sides after the judge's `treatment`, for a judge that has
    one.
    """

    unlearned: ModelOutputs
    oracle: ModelOutputs
    labels: Labels
    splits: Mapping[str, Indices]
    start: ModelOutputs | None = None
    populations: Mapping[str, ModelOutputs] = field(default_factory=dict)
    treated_unlearned: ModelOutputs | None = None
    treated_oracle: ModelOutputs | None = None
