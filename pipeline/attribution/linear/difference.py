"""Difference of means: the mean output with a training point less the mean output without it, shrunk.

The shrinkage removes the noise of the difference. The method costs products of masks with outputs and no
factorisation. In expectation the difference is the least-squares weight. With fewer models than points it
also holds the chance imbalance of all other points, so without shrinkage it predicts worse than the mean
output.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field
from typing_extensions import override

from pipeline.attribution.datamodel import Datamodel, Effect, WeightMatrix, as_indices
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, check_masks, check_outputs
from pipeline.attribution.linear.means import Means, PointWeights, layers_of, split_outputs, spread_of
from pipeline.core.arrays import Indices, Masks, Outputs, PerOutput, PerTrain
from pipeline.core.settings.neutral import setting

# Number of parts into which the models are cut for r2; each part is predicted by a fit to the others.
FOLDS = 5


class DifferenceOfMeans(Estimator):
    """Mean output with a point less mean output without it.

    Only models that keep equally many points are compared, so that differences between populations with other
    keep fractions do not count as effects. shrinkage: `empirical-bayes` takes the true differences of each
    output as normal around 0 and returns their posterior means. The variance is the mean amount by which the
    squared differences exceed their sampling variances (positive part; the method of moments of Morris 1983).
    A number is the share of every difference that is taken away; `none` takes nothing. Standard errors are
    those of the posterior.
    """

    name: ClassVar[str] = "difference_of_means"
    scalars: ClassVar[tuple[str, ...]] = ("prior_variance", "r2")

    shrinkage: Literal["empirical-bayes", "none"] | Annotated[float, Field(ge=0, lt=1)] = setting(
        neutral="empirical-bayes"
    )

    @override
    def factor(self, evidence: Evidence) -> Arrays:
        """Return `spread` (n_train,): Σ(a − ā)² of each point's mask bits over the models.

        ā is the mean over the model's layer.
        """
        check_masks(evidence.masks)
        return {"spread": spread_of(evidence.masks, layers_of(evidence.masks))}

    @override
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `prior_variance` and `r2`, each (n_outputs,).

        `prior_variance` is the variance of the true differences, without noise. `r2` is the share of variance
        explained on fifths of the models, each predicted by a fit to the other four.
        """
        check_outputs(evidence.masks, block.outputs)
        found: list[tuple[PerOutput, PerOutput]] = []
        for outputs in split_outputs(block.outputs):
            means = Means.of(evidence, outputs, factor["spread"])
            differences, variances = means.differences(np.arange(evidence.n_train))
            found.append((_prior(differences, variances), self._r2(evidence, means)))
        return {
            "prior_variance": np.concatenate([prior for prior, _ in found]),
            "r2": np.concatenate([r2 for _, r2 in found]),
        }

    @override
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> "MeansDatamodel":
        return MeansDatamodel(
            means=Means.of(evidence, block.outputs, factor["spread"]),
            prior=fit["prior_variance"],
            estimator=self,
        )

    def _r2(self, evidence: Evidence, means: Means) -> PerOutput:
        """Return the share of variance explained on models left out.

        Everything is learnt again for each part, including the shrinkage.
        """
        folds = np.arange(len(means.masks)) % FOLDS
        error, total = np.zeros(means.outputs.shape[1]), np.zeros(means.outputs.shape[1])
        for fold in np.unique(folds).tolist():
            learnt, left = means.of_models(evidence, fold, folds != fold), folds == fold
            differences, variances = learnt.differences(np.arange(evidence.n_train))
            weights = self.kept(_prior(differences, variances), variances) * differences
            for layer in np.unique(means.layers[left]).tolist():
                same = left & (means.layers == layer)
                # If no fitted model is of this layer, the layer is compared with all fitted models.
                others = (
                    learnt.layers == layer
                    if (learnt.layers == layer).any()
                    else np.ones(len(learnt.layers), bool)
                )
                mask = evidence.once(("mask", fold, layer), partial(_mean_mask, learnt.masks, others))
                actual = means.outputs[same] - learnt.outputs[others].mean(axis=0, dtype=np.float64)
                error += ((actual - (means.masks[same] - mask) @ weights) ** 2).sum(axis=0)
                total += (actual**2).sum(axis=0)
        return 1 - error / np.where(total > 0, total, 1.0)

    def kept(self, prior: PerOutput, variances: PointWeights) -> PointWeights:
        """Return the share of each difference that is kept."""
        if self.shrinkage == "empirical-bayes":
            return np.asarray(prior / np.where(variances > 0, prior + variances, 1.0))
        return np.full_like(variances, 1.0 if self.shrinkage == "none" else 1.0 - float(self.shrinkage))


@dataclass(frozen=True, kw_only=True)
class MeansDatamodel(Datamodel):
    """Differences of means of a block of outputs.

    They are computed when needed; the effect of a removal needs only those of the removed points.
    """

    means: Means
    prior: PerOutput
    estimator: DifferenceOfMeans

    @override
    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train).

        Averaged over the fitted masks, the predictions equal the mean outputs.
        """
        parts, lost, start = [], 1 - self.means.masks.mean(axis=0), 0
        for outputs in split_outputs(self.means.outputs):
            weights = self.weights_of(slice(start, start + outputs.shape[1]))
            parts.append(
                WeightMatrix(matrix=weights, everything=outputs.mean(axis=0) + lost @ weights).predict(masks)
            )
            start += outputs.shape[1]
        return np.concatenate(parts, axis=1)

    @override
    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        Raises DataError unless indices are distinct training ids, at least one.
        """
        indices = as_indices(indices, self.means.masks.shape[1])
        differences, variances = self.means.differences(indices)
        kept = self.estimator.kept(self.prior, variances)
        return Effect(-(kept * differences).sum(axis=0), np.sqrt((kept * variances).sum(axis=0)))

    @override
    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        return self.weights_of(slice(None))

    def weights_of(self, outputs: slice) -> PointWeights:
        """Return the weights of some outputs."""
        differences, variances = self.means.of_some(outputs).differences(np.arange(self.means.masks.shape[1]))
        return self.estimator.kept(self.prior[outputs], variances) * differences


def _prior(differences: PointWeights, variances: PointWeights) -> PerOutput:
    """Return the variance of the true differences of each output."""
    return np.maximum((differences**2 - variances).mean(axis=0), 0.0)


def _mean_mask(masks: Masks, chosen: Bool[np.ndarray, " n_models"]) -> PerTrain:
    return np.asarray(masks[chosen].mean(axis=0))
