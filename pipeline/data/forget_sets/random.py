"""Random forget sets: the easy case, where the effect of each point is small and effects nearly add up."""

from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from pipeline.core import seeds
from pipeline.core.arrays import Indices, Margins
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set, require_points


class Random(ForgetSet):
    """n_points training points, with every set of that size equally likely."""

    name: ClassVar[str] = "random"

    n_points: int = Field(ge=1)
    seed: int = setting(neutral=0)

    @override
    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the ids drawn with seed; raises DataError if there are too few training points."""
        require_points(self.n_points, examples.n_train, "training points")
        drawn = seeds.generator("random_forget_set", self.seed).choice(
            examples.n_train, self.n_points, replace=False
        )
        return checked_forget_set(drawn, examples)
