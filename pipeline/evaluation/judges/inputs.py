"""The inputs of a judge: outputs and states of models on both sides, read on demand."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from typing_extensions import override

from pipeline.core.arrays import Indices, Labels, Logits, Margins
from pipeline.core.errors import DataError
from pipeline.evaluation.margins import margins


class ModelOutputs(ABC):
    """The outputs of a group of models on all points.

    They contain the inputs that the judge names in its needs.
    """

    @property
    @abstractmethod
    def n_models(self) -> int:
        """The number of models."""

    @abstractmethod
    def margins(self, points: Indices | None = None) -> Margins:
        """Return margins (n_models, n_points) in nats of all or some points; NaN if a logit is not finite."""

    @abstractmethod
    def blocks(self) -> Iterator[tuple[slice, Logits]]:
        """Yield blocks: a slice of the points and their logits (n_models, n_block_points, n_classes)."""

    @abstractmethod
    def states(self) -> Mapping[str, np.ndarray]:
        """Return parameters and buffers by name, each (n_models, ...)."""

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
    @override
    def n_models(self) -> int:
        return len(self.all_logits)

    @override
    def margins(self, points: Indices | None = None) -> Margins:
        chosen = slice(None) if points is None else points
        return margins(self.all_logits[:, chosen], self.labels[chosen])

    @override
    def blocks(self) -> Iterator[tuple[slice, Logits]]:
        yield slice(0, len(self.labels)), self.all_logits

    @override
    def states(self) -> Mapping[str, np.ndarray]:
        """Return the states; raises DataError if there are none."""
        if self.all_states is None:
            raise DataError("these models have no states; give all_states, or use a judge that needs none")
        return self.all_states


@dataclass(frozen=True, kw_only=True)
class JudgeInput:
    """The inputs for one unlearner on one forget set.

    unlearned holds the models after unlearning, oracle the models retrained without the set. labels have the
    shape (n_points,). splits holds the ids of the points of `forget`, `retain` and `validation`. start holds
    the models before unlearning, for a judge that needs `full`. populations holds the judge's own models,
    under the names that its `populations` gives them. treated_unlearned and treated_oracle are both sides
    after the judge's `treatment`, for a judge that has one.
    """

    unlearned: ModelOutputs
    oracle: ModelOutputs
    labels: Labels
    splits: Mapping[str, Indices]
    start: ModelOutputs | None = None
    populations: Mapping[str, ModelOutputs] = field(default_factory=dict)
    treated_unlearned: ModelOutputs | None = None
    treated_oracle: ModelOutputs | None = None
