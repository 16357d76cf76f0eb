"""Coherent forget sets: points of one class that look alike.

They are the hard case, because the model depends on the whole group and little on each single point.
"""

import math
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from pydantic import Field
from typing_extensions import override

from pipeline.core.arrays import Indices, Margins, PerPoint
from pipeline.core.errors import DataError
from pipeline.core.memory import check_memory
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set, require_points


class Coherent(ForgetSet):
    """The n_points training points of class `label` that lie farthest along one direction.

    The direction is the first principal component of the training inputs of the class. `end` says whether the
    highest or the lowest projections are taken; of equal ones the lower id comes first. The class has the
    labels that are used in training, including flipped ones.
    """

    name: ClassVar[str] = "coherent"

    label: int = Field(ge=0)
    n_points: int = Field(ge=1)
    end: Literal["high", "low"] = setting(neutral="high")

    @override
    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the ids at the chosen end; raises DataError if the class does not exist or is too small."""
        members = self._members(examples)
        projections = project_on_first_component(examples.inputs_of(members).reshape(len(members), -1))
        order = np.argsort(-projections if self.end == "high" else projections, kind="stable")
        return checked_forget_set(members[order[: self.n_points]], examples)

    @override
    def check(self, examples: Examples) -> None:
        """Raise DataError if the class does not exist, is too small, or is larger than memory.

        The decomposition takes minutes on large images, so only `select` computes it.
        """
        n_members, n_features = len(self._members(examples)), math.prod(examples.input_shape)
        # The inputs in float32, then centred copies and both sides of the decomposition in float64.
        n_bytes = 4 * n_members * n_features + 8 * (
            3 * n_members * n_features + min(n_members, n_features) * n_members
        )
        what = f"forget set rule 'coherent' decomposes all {n_members:,} inputs of class {self.label}, which"
        check_memory(n_bytes, what, "choose a smaller class, or give the ids with `indices` or `file`")

    def _members(self, examples: Examples) -> Indices:
        if self.label >= examples.n_classes:
            raise DataError(f"label is {self.label}; expected 0 to {examples.n_classes - 1}")
        members = np.flatnonzero(examples.labels[: examples.n_train] == self.label)
        require_points(self.n_points, len(members), f"training points of class {self.label}")
        return members


def project_on_first_component(flat: Float[np.ndarray, "n_points n_features"]) -> PerPoint:
    """Return the projection (n_points,), float64, of each centred row on the first principal component.

    The sign is such that the largest loading of the component is positive.
    """
    centred = flat.astype(np.float64) - flat.mean(axis=0, dtype=np.float64)
    component: npt.NDArray[np.float64] = np.linalg.svd(centred, full_matrices=False)[2][0]
    component = component * np.sign(component[np.argmax(np.abs(component))])
    # Not a matrix product, which may round equal rows differently and so break ties by accident.
    projections: npt.NDArray[np.float64] = np.sum(centred * component, axis=1)
    return projections
