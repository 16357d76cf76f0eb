"""Ridge datamodels: regression of outputs on the masks.

The summed weights of a set F are (A 1_F)ᵀ (AAᵀ + λI)⁻¹ Y, where A holds the centred masks and Y the centred
outputs. The penalty λ that predicts outputs best shrinks the *sum* over a coherent set far too much, so
effects have a smaller penalty of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field
from typing_extensions import override

from pipeline.attribution.estimator import Arrays
from pipeline.attribution.evidence import Block, Evidence, check_outputs
from pipeline.attribution.linear import penalties
from pipeline.attribution.linear.dual import DualEstimator, Kernel
from pipeline.core.arrays import Indices, Masks, PerOutput
from pipeline.core.settings.neutral import setting

# Number of training points whose mask bits are converted to floats at once. With 20,000 models these take
# 0.7 GB.
_COLUMNS = 4096


class Ridge(DualEstimator):
    """Ridge regression of outputs on masks; one factorisation for all outputs and penalties.

    penalty: `leave-one-out` chooses for each output the penalty with the least leave-one-out error; a number
    is in units of the mean eigenvalue of the kernel matrix of the masks. effect_penalty: the same for the
    effects of removing sets, which need far less shrinkage (0.05 by default). curvature: the error that an
    effect has because the datamodel is linear, as a share of the effect; it is part of the standard error.
    """

    name: ClassVar[str] = "ridge"
    revision: ClassVar[int] = 2

    penalty: Literal["leave-one-out"] | Annotated[float, Field(ge=1e-12, le=1e9)] = setting(
        neutral="leave-one-out"
    )
    effect_penalty: Literal["leave-one-out"] | Annotated[float, Field(ge=1e-12, le=1e9)] = setting(
        neutral=0.05
    )
    curvature: float = setting(neutral=0.0, ge=0, le=1e6)

    @override
    def kernel(self, evidence: Evidence) -> "LinearKernel":
        return evidence.once("linear kernel", lambda: LinearKernel(evidence.masks))

    @override
    def noise(self, fit: Arrays) -> PerOutput:
        return np.asarray(fit["amplitude"] * fit["effect_penalty"])

    @override
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `penalty`, `effect_penalty`, `r2` and `amplitude`, each (n_outputs,).

        The penalties are absolute. `r2` is the leave-one-out share of variance explained at `penalty`.
        """
        check_outputs(evidence.masks, block.outputs)
        values = factor["eigenvalues"]
        squares = penalties.coordinates(factor, block.outputs) ** 2
        best = penalties.best_penalty(values, squares)
        chosen, effect = (_resolve(penalty, best, values) for penalty in (self.penalty, self.effect_penalty))
        error, r2 = penalties.errors_at(chosen, values, squares)
        # In the Bayesian reading of ridge, weights are normal with variance noise/λ.
        return {"penalty": chosen, "effect_penalty": effect, "r2": r2, "amplitude": error / effect}


@dataclass(frozen=True, eq=False)
class LinearKernel(Kernel):
    """The inner product of two masks, after the mean of the fitted masks is subtracted from both.

    fitted (n_models, n_train): the fitted masks.
    """

    fitted: Masks

    @override
    def between(self, masks: Bool[np.ndarray, "n_masks n_train"]) -> Float[np.ndarray, "n_masks n_models"]:
        return inner(masks, self.fitted)

    @override
    def removing(
        self, sets: Sequence[Indices]
    ) -> tuple[Float[np.ndarray, "n_sets n_models"], Float[np.ndarray, " n_sets"]]:
        changed = np.empty((len(sets), len(self.fitted)))
        for number, indices in enumerate(sets):
            chosen = self.fitted[:, indices]
            changed[number] = -(chosen - chosen.mean(axis=0)).sum(axis=1)
        return changed, np.array([float(len(indices)) for indices in sets])


def inner(masks: Bool[np.ndarray, "n_masks n_train"], fitted: Masks) -> Float[np.ndarray, "n_masks n_models"]:
    """Return the inner products of masks with the fitted ones.

    The mean of the fitted masks is subtracted from both first. The masks are converted to floats a few
    columns at a time.
    """
    total = np.zeros((len(masks), len(fitted)))
    for start in range(0, fitted.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        centre = fitted[:, part].mean(axis=0)
        total += (masks[:, part] - centre) @ (fitted[:, part] - centre).T
    return total


def _resolve(penalty: str | float, best: PerOutput, values: Float[np.ndarray, " n_models"]) -> PerOutput:
    return best if isinstance(penalty, str) else np.full(len(best), penalty * values.mean())
