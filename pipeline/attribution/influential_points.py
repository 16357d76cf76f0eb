"""The training points that help and hurt an output most.

They are ranked by what each of them alone adds to the output, which any datamodel can provide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from pipeline.attribution.datamodel import Datamodel, Effect
from pipeline.core.arrays import Indices, Masks, Outputs
from pipeline.core.errors import DataError


@runtime_checkable
class KnowsEach(Protocol):
    """A datamodel that gives the effects of all single points at once, with standard errors."""

    def effects_of_each(
        self,
    ) -> tuple[Float[np.ndarray, "n_train n_outputs"], Float[np.ndarray, "n_train n_outputs"]]:
        """Return `effect_of_removing` for each training point alone: means and standard errors."""
        ...


@dataclass(frozen=True)
class Influence:
    """The contribution of training point id to an output: the negated effect of removing it alone.

    standard_error: the standard error of weight, in the same unit; None if it is unknown or 0.
    """

    id: int
    weight: float
    standard_error: float | None


@dataclass(frozen=True, kw_only=True)
class Influences:
    """The training points that help an output most and those that hurt it most.

    helpful starts with the largest weight, harmful with the most negative one.
    """

    helpful: tuple[Influence, ...]
    harmful: tuple[Influence, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Totals:
    """A datamodel of one weighted sum of the logits of each point.

    An example is a linear approximation of the margin of a point. whole: the datamodel of all logits, with
    n_classes adjacent outputs for each point. slopes (n_points, n_classes): the factor of each logit in the
    sum. Standard errors assume that the errors of outputs are independent.
    """

    whole: Datamodel
    slopes: Float[np.ndarray, "n_points n_classes"]

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted sums (n_models, n_points) for raw masks (n_models, n_train)."""
        return self._combine(self.whole.predict(masks))

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each sum when the training points in indices are removed."""
        effect = self.whole.effect_of_removing(indices)
        variance = np.square(self.slopes) * np.square(effect.standard_error.reshape(self.slopes.shape))
        return Effect(self._combine(effect.mean[None])[0], np.sqrt(variance.sum(axis=1)))

    def weights(self) -> Float[np.ndarray, "n_train n_points"]:
        """Return one weight for each training point and sum."""
        return self._combine(self.whole.weights())

    def _combine(self, values: Float[np.ndarray, "n_rows n_outputs"]) -> Float[np.ndarray, "n_rows n_points"]:
        return np.asarray((values.reshape(len(values), *self.slopes.shape) * self.slopes).sum(axis=2))


def influences(datamodel: Datamodel, *, top: int, outputs: Sequence[int] = (0,)) -> list[Influences]:
    """Return, for some outputs of a fitted block, the training points that help and hurt each most.

    Each list has up to top points. Points that help have weights above 0, points that hurt have weights below
    0. If the datamodel knows the effects of all single points with their standard errors, both are taken from
    there. Otherwise weights are those of the datamodel, and a standard error is computed for each listed
    point. Raises DataError unless top is 1 to n_train.
    """
    each = datamodel.effects_of_each() if isinstance(datamodel, KnowsEach) else None
    weights = datamodel.weights() if each is None else -each[0]
    if not 1 <= top <= len(weights):
        raise DataError(
            f"the top {top} of {len(weights)} training points were requested; choose 1 to {len(weights)}"
        )

    def influence(index: int, output: int) -> Influence:
        error = (
            datamodel.effect_of_removing(np.array([index])).standard_error[output]
            if each is None
            else each[1][index, output]
        )
        return Influence(index, float(weights[index, output]), float(error) if error > 0 else None)

    def ranked(output: int) -> Influences:
        order, of_output = np.argsort(-weights[:, output], kind="stable"), weights[:, output]
        helpful, harmful = order[:top], order[::-1][:top]
        return Influences(
            helpful=tuple(influence(index, output) for index in helpful[of_output[helpful] > 0].tolist()),
            harmful=tuple(influence(index, output) for index in harmful[of_output[harmful] < 0].tolist()),
        )

    return [ranked(output) for output in outputs]
