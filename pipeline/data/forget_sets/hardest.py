"""Hardest forget sets: the points that models trained on all points fit worst.

A model depends most on these points.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from pipeline.core.arrays import Indices, Margins
from pipeline.core.errors import DataError, ShapeError
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set, require_points


class Hardest(ForgetSet):
    """The n_points training points with the lowest mean margin over the `full` models.

    Of points with equal margins the lower id comes first.
    """

    name: ClassVar[str] = "hardest"
    needs: ClassVar[tuple[str, ...]] = ("full",)

    n_points: int = Field(ge=1)

    @override
    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the hardest ids.

        Raises ShapeError unless margins are given for all points, and DataError if one is not finite.
        """
        self.check(examples)
        if margins is None or margins.shape[1] != examples.n_points or not len(margins):
            found = "none" if margins is None else f"shape {margins.shape}"
            raise ShapeError(
                f"hardest got {found} as margins of `full`; expected (n_models, {examples.n_points}) with at "
                "least one model"
            )
        mean = margins[:, : examples.n_train].mean(axis=0, dtype=np.float64)
        if not np.isfinite(mean).all():
            diverged = np.flatnonzero(~np.isfinite(mean))[0]
            raise DataError(
                f"the mean margin of training point {diverged} over `full` is not finite: a model diverged; "
                "lower the learning rate"
            )
        return checked_forget_set(np.argsort(mean, kind="stable")[: self.n_points], examples)

    @override
    def check(self, examples: Examples) -> None:
        """Raise DataError if n_points is so large that no point would be retained."""
        require_points(
            self.n_points, examples.n_train - 1, "training points that can go while one is retained"
        )
