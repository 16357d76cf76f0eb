"""The base of all data sets, with label noise and scaling, which any data set can have.

Labels that are wrong on purpose give a forget set whose harm is known.
"""

import dataclasses
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.core import seeds
from pipeline.core.errors import ConfigError, placed
from pipeline.core.registry import Plugin, Settings
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.data.scaling import Scaling


class LabelNoise(Settings):
    """The number of training labels to flip to another class, and the seed that chooses them."""

    n_points: int = Field(ge=1, le=10_000_000)
    seed: int = setting(neutral=0)


class Dataset(Plugin):
    """A data set: a subclass implements `read`, all other code calls `load`."""

    reads_data: ClassVar[bool] = True

    label_noise: LabelNoise | None = setting(neutral=None)
    scaling: Scaling | None = setting(neutral=None)

    def missing(self) -> str | None:
        """Return in words what must be installed or present before this can be read, or None, as by default.

        It must be quick.
        """
        return None

    @abstractmethod
    def read(self) -> Examples:
        """Return the examples as they are, without label noise; raises DataError if they cannot be read."""

    def read_outline(self) -> Examples:
        """Return the result of `read`, for a command that needs only labels and shapes.

        Raises the errors of `read`. Override it with UnreadInputs as inputs if labels and shapes can be read
        without the inputs.
        """
        return self.read()

    def load(self) -> Examples:
        """Return the examples with label noise and scaling applied, the same for equal settings.

        Raises DataError, or ConfigError for too much noise.
        """
        return self._prepared(self.read())

    def outline(self) -> Examples:
        """Return the result of `load`, but with inputs that are not read; raises the errors of `load`."""
        return self._prepared(self.read_outline()).without_inputs()

    def _prepared(self, examples: Examples) -> Examples:
        if self.scaling is not None:
            examples = dataclasses.replace(examples, scaling=self.scaling)
        if self.label_noise is None:
            return examples
        with placed("label_noise"):
            return flip_labels(examples, self.label_noise)


def flip_labels(examples: Examples, noise: LabelNoise) -> Examples:
    """Return examples with noise.n_points training labels moved to another class, each with equal chance.

    The ids of these points are added to `mislabelled`. Raises ConfigError if fewer training points have a
    true label.
    """
    candidates = np.setdiff1d(np.arange(examples.n_train), examples.mislabelled)
    if noise.n_points > len(candidates):
        raise ConfigError(
            f"n_points is {noise.n_points} but only {len(candidates)} training labels can be flipped; lower "
            "n_points"
        )
    rng = seeds.generator("label_noise", noise.seed)
    flipped = np.sort(rng.choice(candidates, noise.n_points, replace=False))
    labels = examples.labels.copy()
    labels[flipped] = (
        labels[flipped] + rng.integers(1, examples.n_classes, noise.n_points)
    ) % examples.n_classes
    return dataclasses.replace(examples, labels=labels, mislabelled=np.union1d(examples.mislabelled, flipped))
