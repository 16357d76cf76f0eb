"""Mislabelled forget sets: the points whose labels the data set flipped on purpose.

A model should improve if it forgets them.
"""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.arrays import Indices, Margins
from pipeline.core.errors import DataError
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set, require_points


class Mislabelled(ForgetSet):
    """All flipped points, or the n_points of them with the lowest ids."""

    name: ClassVar[str] = "mislabelled"

    n_points: int | None = setting(neutral=None, ge=1)

    @override
    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the flipped ids; raises DataError if no label, or too few, were flipped."""
        flipped = np.sort(examples.mislabelled)
        if not len(flipped):
            raise DataError(
                "the data set has no mislabelled points; give it some with dataset.label_noise: {n_points: "
                "...}"
            )
        n_points = len(flipped) if self.n_points is None else self.n_points
        require_points(n_points, len(flipped), "mislabelled points")
        return checked_forget_set(flipped[:n_points], examples)
