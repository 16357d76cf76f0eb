"""The base of all data sets, and the label noise that any of them can carry: wrong labels on purpose are a forget set whose harm is known."""

import dataclasses
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.core import seeds
from pipeline.core.errors import ConfigError
from pipeline.core.fingerprint import canonical
from pipeline.core.neutral import setting
from pipeline.core.registry import Plugin, Settings, identity, revision
from pipeline.data.examples import Examples


class LabelNoise(Settings):
    """How many training labels to flip to another class, and the seed that chooses them."""

    n_points: int = Field(ge=1, le=10_000_000)
    seed: int = setting(neutral=0)


class Dataset(Plugin):
    """A data set: a subclass writes `read`, everybody else calls `load`."""

    reads_data: ClassVar[bool] = True

    label_noise: LabelNoise | None = setting(neutral=None)

    def missing(self) -> str | None:
        """Return what has to be installed or there before this can be read, in words, or None; found in no time. By default nothing is."""
        return None

    @abstractmethod
    def read(self) -> Examples:
        """Return the examples as they are, without label noise; raises DataError if they cannot be read."""

    def load(self) -> Examples:
        """Return the examples with the label noise applied, the same for equal settings; raises DataError, or ConfigError for too much noise."""
        examples = self.read()
        return examples if self.label_noise is None else flip_labels(examples, self.label_noise)


def content_digest(dataset: Dataset) -> str:
    """Return the digest of what `load` returns; raises what it raises.

    The content itself is read, whether it comes from a file, an installed package or a formula. That takes up to a second for
    the built-in data sets, so one process does it once for the same settings and files.
    """
    key = canonical([identity(dataset), revision(dataset), dataset.content()])
    if key not in _DIGESTS:
        _DIGESTS[key] = dataset.load().digest
    return _DIGESTS[key]


# What content_digest found in this process, by settings and the size and time of files.
_DIGESTS: dict[str, str] = {}


def flip_labels(examples: Examples, noise: LabelNoise) -> Examples:
    """Return examples with noise.n_points training labels moved to another class, each with equal chance, and their ids added to `mislabelled`.

    Raises ConfigError if fewer training points carry a true label.
    """
    candidates = np.setdiff1d(np.arange(examples.n_train), examples.mislabelled)
    if noise.n_points > len(candidates):
        raise ConfigError(f"label_noise: n_points is {noise.n_points} but only {len(candidates)} training labels can be flipped; lower n_points")
    rng = seeds.generator("label_noise", noise.seed)
    flipped = np.sort(rng.choice(candidates, noise.n_points, replace=False))
    labels = examples.labels.copy()
    labels[flipped] = (labels[flipped] + rng.integers(1, examples.n_classes, noise.n_points)) % examples.n_classes
    return dataclasses.replace(examples, labels=labels, mislabelled=np.union1d(examples.mislabelled, flipped))
