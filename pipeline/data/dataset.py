"""The base of all data sets, with label noise and scaling, which any data set can have.

Label noise makes labels wrong on purpose, so there are points that are known to harm a model.
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
        """Return in words what must be installed or present before the data can be read; None if nothing.

        By default nothing is missing. The answer must come quickly, without reading the data.
        """
        return None

    @abstractmethod
    def read(self) -> Examples:
        """Return the examples as they are, without label noise; raises DataError if they cannot be read."""

    def read_outline(self) -> Examples:
        """Return the result of `read`, for a command that needs only labels and shapes.

        Raises the errors of `read`. If labels and shapes can be read without the inputs, override this method
        and return UnreadInputs as inputs.
        """
        return self.read()

    def load(self) -> Examples:
        """Return the examples with label noise and scaling applied, the same for equal settings.

        Raises DataError, or ConfigError if more labels are to be flipped than there are.
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
    """Return examples in which noise.n_points training labels are changed to random other classes.

    All points that are not in `mislabelled` yet are equally likely, and so are all other classes. The ids of
    the changed points are added to `mislabelled`. Raises ConfigError if there are too few points to choose
    from.
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
