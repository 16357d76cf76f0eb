"""Means of outputs over models with and without a training point, for the estimator difference_of_means.

Only models that keep equally many points are compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.attribution.evidence import Evidence
from pipeline.core.arrays import Indices, Masks, Outputs, PerTrain

# Number of models whose masks are converted to float64 at once. With 50,000 points these take 0.2 GB.
_ROWS = 512
# Number of outputs that are fitted at once. With 50,000 points each array takes 0.1 GB.
_COLUMNS = 256
# Models that keep the same number of points form a layer of their own if they are at least this share of all
# models, as the models of a population are. All other models form layer 0, such as models whose masks are
# drawn independently for each point.
LAYER = 0.2
# Lower bound of Σ(a − ā)² of a point's mask bits a. It is the value of a point that one of two models leaves
# out, the least from which anything can be learnt. Points that all models keep get it too, so that no
# division is by 0.
_LEAST = 0.5

Layers = Int[np.ndarray, " n_models"]
PointWeights = Float[np.ndarray, "n_chosen n_outputs"]


@dataclass(frozen=True, kw_only=True)
class Means:
    """Masks and outputs of models, from which differences of means are computed.

    layers (n_models,): see `layers_of`. centred: the outputs less the mean of their layer. spread (n_train,):
    see `spread_of`.
    """

    masks: Masks
    outputs: Outputs
    layers: Layers
    centred: Outputs
    spread: PerTrain

    @classmethod
    def of(cls, evidence: Evidence, outputs: Outputs, spread: PerTrain) -> "Means":
        """Return the Means of all models of the evidence."""
        layers = evidence.once("layers", lambda: layers_of(evidence.masks))
        return cls(
            masks=evidence.masks,
            outputs=outputs,
            layers=layers,
            centred=centred_by(outputs, layers),
            spread=spread,
        )

    def of_models(self, evidence: Evidence, name: int, chosen: Bool[np.ndarray, " n_models"]) -> "Means":
        """Return the Means of the chosen models only.

        Their spread is the same for all blocks of outputs, so the evidence keeps it under name.
        """
        masks, layers = self.masks[chosen], self.layers[chosen]
        spread = evidence.once(("spread", name), lambda: spread_of(masks, layers))
        return Means(
            masks=masks,
            outputs=self.outputs[chosen],
            layers=layers,
            centred=centred_by(self.outputs[chosen], layers),
            spread=spread,
        )

    def of_some(self, outputs: slice) -> "Means":
        """Return the Means of some outputs only."""
        return replace(self, outputs=self.outputs[:, outputs], centred=self.centred[:, outputs])

    def differences(self, points: Indices) -> tuple[PointWeights, PointWeights]:
        """Return the difference of means of some points, (n_chosen, n_outputs), and its sampling variance.

        The sampling variance is that of a regression on each point alone.
        """
        sums = np.zeros((len(points), self.centred.shape[1]))
        for start in range(0, len(self.masks), _ROWS):
            rows = slice(start, start + _ROWS)
            sums += self.masks[rows][:, points].T.astype(np.float64) @ self.centred[rows]
        spread = self.spread[points][:, None]
        differences = sums / spread
        freedom = max(len(self.masks) - len(np.unique(self.layers)) - 1, 1)
        left = np.maximum((self.centred**2).sum(axis=0) - differences * sums, 0.0)
        return differences, left / freedom / spread


def spread_of(masks: Masks, layers: Layers) -> PerTrain:
    """Return Σ(a − ā)² of each point's mask bits a over the models, (n_train,), at least _LEAST.

    ā is the mean over the model's layer.
    """
    spread = np.zeros(masks.shape[1])
    for layer in np.unique(layers):
        share = masks[layers == layer].mean(axis=0)
        spread += share * (1 - share) * (layers == layer).sum()
    return np.maximum(spread, _LEAST)


def centred_by(outputs: Outputs, layers: Layers) -> Outputs:
    """Return outputs (n_models, n_outputs) less the mean of their layer, in float64."""
    centred = outputs.astype(np.float64)
    for layer in np.unique(layers):
        centred[layers == layer] -= centred[layers == layer].mean(axis=0)
    return centred


def split_outputs(outputs: Outputs) -> Iterator[Outputs]:
    """Yield some columns of outputs at a time."""
    for start in range(0, outputs.shape[1], _COLUMNS):
        yield outputs[:, start : start + _COLUMNS]


def layers_of(masks: Masks) -> Layers:
    """Return the layer of each model: the number of points it keeps if many models keep as many, else 0."""
    counts, which, n_models = np.unique(masks.sum(axis=1), return_inverse=True, return_counts=True)
    return np.asarray(np.where(n_models >= max(2, LAYER * len(masks)), counts, 0)[which])
