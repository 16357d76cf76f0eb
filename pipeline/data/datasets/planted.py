"""Data whose linear datamodel is known exactly, to test attribution against the truth."""

from typing import ClassVar

import numpy as np
from pydantic import model_validator
from typing_extensions import override

from pipeline.core import seeds
from pipeline.core.settings.neutral import setting
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples

# Why the datamodel is known: a softmax-linear model starts at zero and takes one full-batch step of size eta
# on the mean cross-entropy of a subset S. Its logits at x are then
# (eta / |S|) * sum over i in S of (<x, x_i> + 1) * (onehot(y_i) - 1/n_classes).
# They are linear in the mask, as long as |S| is the same for all masks.

# The input of a point is SIGNAL in the feature of its group and 0 elsewhere, plus noise. In the sum above, a
# training point of the group of x then weighs about SIGNAL**2 + 1 = 17 times as much as any other point. So
# the datamodel is nearly sparse, as real datamodels are.
SIGNAL = 4.0

# The largest number of input values of all points, which take 8 GB in float64 while they are made.
_MOST_NUMBERS = 1_000_000_000


class Planted(Dataset):
    """Points in groups: each group has one class, and one feature that is large for its points only.

    noise is the standard deviation of the Gaussian noise that is added to every feature.
    """

    name: ClassVar[str] = "planted"

    n_train: int = setting(neutral=120, ge=2, le=10_000_000)
    n_validation: int = setting(neutral=40, ge=1, le=10_000_000)
    n_classes: int = setting(neutral=3, ge=2, le=100_000)
    n_groups: int = setting(neutral=12, ge=2, le=100_000)
    noise: float = setting(neutral=0.1, ge=0, le=1e6)
    seed: int = setting(neutral=0)

    @model_validator(mode="after")
    def _has_points_for_all(self) -> "Planted":
        if not self.n_classes <= self.n_groups <= self.n_train:
            raise ValueError(
                f"n_groups is {self.n_groups}; expected n_classes ({self.n_classes}) to n_train "
                f"({self.n_train})"
            )
        n_numbers = (self.n_train + self.n_validation) * self.n_groups
        if n_numbers > _MOST_NUMBERS:
            raise ValueError(
                f"{self.n_train + self.n_validation:,} points in {self.n_groups:,} groups take {n_numbers:,} "
                f"numbers; at most {_MOST_NUMBERS:,}"
            )
        return self

    @override
    def read(self) -> Examples:
        """Return inputs (n_train + n_validation, n_groups).

        Groups are as equal in size as possible. The class of a point is its group modulo n_classes.
        """
        rng = seeds.generator("planted", self.seed)
        groups = np.concatenate(
            [rng.permutation(np.arange(size) % self.n_groups) for size in (self.n_train, self.n_validation)]
        )
        inputs = SIGNAL * np.eye(self.n_groups)[groups] + self.noise * rng.standard_normal(
            (len(groups), self.n_groups)
        )
        return Examples(
            inputs=inputs.astype(np.float32),
            labels=(groups % self.n_classes).astype(np.int64),
            n_train=self.n_train,
            n_classes=self.n_classes,
        )
