"""Difference of means.

What outputs are on average with a training point, less what they are without it, shrunk by what is noise in
that.

It costs products of masks with outputs and no factorisation. In expectation it is the least-squares weight;
with fewer models than points each difference also holds the chance imbalance of all other points, so without
shrinkage it predicts worse than the mean.
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

# Parts that the models are cut into, each predicted by the others.
FOLDS = 5


class DifferenceOfMeans(Estimator):
    """Mean output with a point less mean output without it.

    Models that keep equally many points are compared among themselves, so that populations of other keep
    fractions do not pass for effects. shrinkage: `empirical-bayes` takes the true differences of each output
    to be normal around 0, with the variance by which the squared differences exceed their sampling variances
    on average (positive part; the method of moments of Morris 1983), and gives their posterior means; a
    number is the share of every difference taken away; `none` takes nothing. Standard errors are the
    posterior's.
    """

    name: ClassVar[str] = "difference_of_means"
    scalars: ClassVar[tuple[str, ...]] = ("prior_variance", "r2")

    shrinkage: Literal["empirical-bayes", "none"] | Annotated[float, Field(ge=0, lt=1)] = setting(
        neutral="empirical-bayes"
    )

    def factor(self, evidence: Evidence) -> Arrays:
        """Return `spread` (n_train,).

        Σ(a − ā)² of each point's masks over the models, ā that of their layer.
        """
        check_masks(evidence.masks)
        return {"spread": spread_of(evidence.masks, layers_of(evidence.masks))}

    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `prior_variance`, that of the true differences as far as it is not noise, and `r2`, each (n_outputs,).

        r2 is that of fifths of the models, each predicted by a fit to the other four.
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
        """Return the share of variance explained at models left out.

        Everything is learnt anew, shrinkage above all.
        """
        folds = np.arange(len(means.masks)) % FOLDS
        error, total = np.zeros(means.outputs.shape[1]), np.zeros(means.outputs.shape[1])
        for fold in np.unique(folds).tolist():
            learnt, left = means.of_models(evidence, fold, folds != fold), folds == fold
            differences, variances = learnt.differences(np.arange(evidence.n_train))
            weights = self.kept(_prior(differences, variances), variances) * differences
            for layer in np.unique(means.layers[left]).tolist():
                same = left & (means.layers == layer)
                # A layer that none of the others is of is compared with all of them.
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
    """Differences of means of a block of outputs; those of a few points are computed alone."""

    means: Means
    prior: PerOutput
    estimator: DifferenceOfMeans

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train).

        On average over the fitted masks, they are their mean.
        """
        parts, lost, start = [], 1 - self.means.masks.mean(axis=0), 0
        for outputs in split_outputs(self.means.outputs):
            weights = self.weights_of(slice(start, start + outputs.shape[1]))
            parts.append(
                WeightMatrix(matrix=weights, everything=outputs.mean(axis=0) + lost @ weights).predict(masks)
            )
            start += outputs.shape[1]
        return np.concatenate(parts, axis=1)

    def effect_of_removing(self, indices: Indices) -> Effect:
        """See Datamodel; raises DataError on ids that are no set of training points."""
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
