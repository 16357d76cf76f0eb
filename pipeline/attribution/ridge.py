"""Ridge datamodels in their dual form: one m×m eigendecomposition serves every output, penalty and forget set; no weight is ever stored.

With A the centred masks (n_models, n_train), Y the centred outputs and K = AAᵀ, the summed weights of a set F are
(A 1_F)ᵀ (K + λI)⁻¹ Y. What a reader would get wrong: the penalty that predicts best shrinks the *sum* over a coherent set far too much.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field

from pipeline.attribution.datamodel import Effect
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.core.arrays import Indices, Masks, Outputs, PerOutput
from pipeline.core.errors import ConfigError, DataError, ShapeError

# Penalties tried, in units of the mean eigenvalue of K; the leave-one-out optimum of deep networks lies around 0.5 to 1.
GRID = np.geomspace(1e-3, 1e2, 21)
# Training points whose mask bits are numbers at once: 20,000 models take 0.7 GB.
COLUMNS = 4096


class Ridge(Estimator):
    """Ridge regression of every output on the mask.

    penalty: `leave-one-out` chooses for each output by its leave-one-out error (best for predicting single models); a number is the
    penalty of all outputs in units of the mean eigenvalue of K. effect_penalty is likewise the penalty of summed effects, where less
    shrinkage serves (method.md §2: the leave-one-out optimum under-predicts the effect of coherent sets by 1.3–2x).
    """

    name: ClassVar[str] = "ridge"

    penalty: Literal["leave-one-out"] | Annotated[float, Field(gt=0)] = "leave-one-out"
    effect_penalty: Literal["leave-one-out"] | Annotated[float, Field(gt=0)] = 0.05

    def factor(self, masks: Masks) -> Arrays:
        """Return `eigenvalues` (n_models,) ascending and `eigenvectors` (n_models, n_models), by column, of K."""
        if len(masks) < 3:
            raise ConfigError(f"ridge needs at least 3 subset models, got {len(masks)}; raise populations.subset.n_models")
        if (masks == masks[0]).all():
            raise DataError("all subset masks are equal, so nothing can be attributed; lower populations.subset.keep_fraction")
        values, vectors = np.linalg.eigh(_inner(masks, masks))
        return {"eigenvalues": np.maximum(values, 0.0), "eigenvectors": vectors}

    def fit(self, factor: Arrays, masks: Masks, outputs: Outputs) -> Arrays:
        """Return `penalty`, `effect_penalty` (absolute), `r2` (leave-one-out, at `penalty`) and `noise` (residual variance), each (n_outputs,)."""
        _check(masks, outputs)
        values = factor["eigenvalues"]
        rotated = factor["eigenvectors"].T @ (outputs - outputs.mean(axis=0)).astype(np.float64)
        squares = rotated**2
        penalties = GRID * values.mean()
        best = penalties[_leave_one_out(values, squares, penalties).argmin(axis=0)]
        chosen = _resolve(self.penalty, best, values)
        effect = _resolve(self.effect_penalty, best, values)
        distinct, which = np.unique(chosen, return_inverse=True)
        error = _leave_one_out(values, squares, distinct)[which, np.arange(len(which))]
        total = squares.mean(axis=0) * (len(values) / (len(values) - 1)) ** 2
        r2 = 1 - error / np.where(total > 0, total, 1.0)
        return {"penalty": chosen, "effect_penalty": effect, "r2": r2, "noise": error}

    def datamodel(self, factor: Arrays, fit: Arrays, masks: Masks, outputs: Outputs) -> "RidgeDatamodel":
        """Return the datamodel of a block of outputs."""
        _check(masks, outputs)
        return RidgeDatamodel(
            masks=masks,
            outputs=outputs,
            eigenvalues=factor["eigenvalues"],
            eigenvectors=factor["eigenvectors"],
            penalty=fit["penalty"],
            effect_penalty=fit["effect_penalty"],
            noise=fit["noise"],
        )


@dataclass(frozen=True, kw_only=True)
class RidgeDatamodel:
    """Ridge datamodels of a block of outputs; outputs sharing a penalty share its solve."""

    masks: Masks
    outputs: Outputs
    eigenvalues: Float[np.ndarray, " n_models"]
    eigenvectors: Float[np.ndarray, "n_models n_models"]
    penalty: PerOutput
    effect_penalty: PerOutput
    noise: PerOutput

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train)."""
        if masks.shape[1] != self.masks.shape[1]:
            raise ShapeError(f"masks are over {masks.shape[1]} training points, the datamodel over {self.masks.shape[1]}; give masks of that length")
        return self._apply(_inner(masks, self.masks), self.penalty) + self.outputs.mean(axis=0)

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        The standard error is that of the Bayesian reading of ridge (normal weights with variance noise/λ): it covers noise and
        shrinkage, not the curvature of the true effect. Raises DataError on ids that are repeated or not training points.
        """
        indices = np.asarray(indices)
        if len(indices) == 0 or len(np.unique(indices)) != len(indices) or indices.min() < 0 or indices.max() >= self.masks.shape[1]:
            raise DataError(f"indices must be distinct training ids in 0 to {self.masks.shape[1] - 1} and at least one; got {indices[:10].tolist()}")
        chosen = self.masks[:, indices]
        kept = (chosen - chosen.mean(axis=0)).sum(axis=1)[None]
        mean = -self._apply(kept, self.effect_penalty)[0]
        coordinates = (kept @ self.eigenvectors)[0] ** 2
        explained = (
            (coordinates / (self.eigenvalues + self.effect_penalty[:, None])).sum(axis=1)
            if len(np.unique(self.effect_penalty)) > 1
            else (np.full(len(mean), (coordinates / (self.eigenvalues + self.effect_penalty[0])).sum()))
        )
        variance = self.noise / self.effect_penalty * np.maximum(len(indices) - explained, 0.0)
        return Effect(mean, np.sqrt(variance))

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return the weights (n_train, n_outputs) at the penalty of prediction; on raw masks, with the intercept of `intercept`."""
        return self._apply((self.masks - self.masks.mean(axis=0)).T, self.penalty)

    def intercept(self) -> PerOutput:
        """Return what weights predict for the empty mask."""
        return self.outputs.mean(axis=0) - self.masks.mean(axis=0) @ self.weights()

    def _apply(self, rows: Float[np.ndarray, "n_rows n_models"], penalty: PerOutput) -> Float[np.ndarray, "n_rows n_outputs"]:
        """Return rows (K + λI)⁻¹ Y, each output at its own λ: one product with the outputs for each distinct penalty."""
        rotated = rows @ self.eigenvectors
        outputs = self.outputs - self.outputs.mean(axis=0)
        result = np.empty((len(rows), outputs.shape[1]))
        for value in np.unique(penalty):
            same = penalty == value
            result[:, same] = (rotated / (self.eigenvalues + value)) @ self.eigenvectors.T @ outputs[:, same]
        return result


def _inner(masks: Bool[np.ndarray, "n_masks n_train"], fitted: Masks) -> Float[np.ndarray, "n_masks n_models"]:
    """Return the inner products of masks with the fitted ones, both centred by the latter, holding few columns as numbers at a time."""
    total = np.zeros((len(masks), len(fitted)))
    for start in range(0, fitted.shape[1], COLUMNS):
        part = slice(start, start + COLUMNS)
        centre = fitted[:, part].mean(axis=0)
        total += (masks[:, part] - centre) @ (fitted[:, part] - centre).T
    return total


def _resolve(penalty: str | float, best: PerOutput, values: Float[np.ndarray, " n_models"]) -> PerOutput:
    return best if isinstance(penalty, str) else np.full(len(best), penalty * values.mean())


def _leave_one_out(
    values: Float[np.ndarray, " n_models"], squares: Outputs, penalties: Float[np.ndarray, " n_penalties"]
) -> Float[np.ndarray, "n_penalties n_outputs"]:
    """Return the mean squared leave-one-out error of each output at each penalty, from squared coordinates in the eigenbasis alone.

    Leverages are taken at their mean (generalised cross-validation, Golub, Heath, Wahba 1979): members keep equally many points, so their
    leverages agree within a few per cent, and all penalties cost one thin product instead of one m×m product each.
    """
    n_models = len(values)
    shrunk = penalties[:, None] / (values + penalties[:, None])
    # The mean takes one degree of freedom; its eigenvalue is 0, so it is not among those counted by shrunk.
    freedom = np.maximum((shrunk.sum(axis=1) - 1) / n_models, 1e-12)
    return np.asarray(shrunk**2 @ squares / n_models / freedom[:, None] ** 2)


def _check(masks: Masks, outputs: Outputs) -> None:
    if len(masks) != len(outputs):
        raise ShapeError(f"{len(masks)} masks but outputs of {len(outputs)} models; give one row for each model")
    if not np.isfinite(outputs).all():
        bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
        raise DataError(f"{len(bad)} subset models have non-finite outputs (first: member {bad[0]}); lower recipe.learning_rate")
