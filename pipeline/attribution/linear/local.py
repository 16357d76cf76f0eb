"""Local datamodels: ridge on the masks, with a prior of its own for each output.

The prior allows large weights for training points that were hard and look like the output's point. Only the
points with the widest priors get a weight, so the eigendecomposition for a point of outputs grows with
`reach` and not with the number of training points. Local datamodels are linear like ridge, so they do not
know that the last points of a group matter more than the first (see kernel).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from typing_extensions import override

from pipeline.attribution.datamodel import Effect, as_indices
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, check_masks, check_outputs
from pipeline.attribution.linear.penalties import GRID
from pipeline.attribution.linear.prior import learn_prior, pair_columns, prior_variances
from pipeline.core.arrays import Indices, Masks, Outputs, PerOutput, require_masks
from pipeline.core.settings.neutral import setting

# The most pairs of a training point and an output's point from which a prior is learnt. A block with more
# pairs uses only some of its points, evenly spaced.
MOST_PAIRS = 2**21
# Up to this many training points, the products of their centred masks with each other are computed once and
# kept, in at most 64 MB. With more, those that a point needs are computed when it is fitted.
_MOST_KEPT = 4096

# Number of training points whose mask bits are converted to floats at once.
_COLUMNS = 4096

Gram = Float[np.ndarray, "n_chosen n_chosen"]
Products = Float[np.ndarray, "n_train n_outputs"]


class LocalRidge(Estimator):
    """Ridge with a prior for each training point and output, learnt from the scouts' views.

    The penalty is the one with the least leave-one-out error. reach: the number of training points that may
    have a weight for one output; those with the widest priors are taken.
    """

    name: ClassVar[str] = "local"
    revision: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"subset", "views"})
    scalars: ClassVar[tuple[str, ...]] = ("penalty", "r2")

    reach: int = setting(neutral=400, ge=1, le=10_000_000)

    @override
    def factor(self, evidence: Evidence) -> Arrays:
        """Return `spread` (n_train,): the sum of squares of each training point's centred mask."""
        check_masks(evidence.masks)
        kept = evidence.masks.mean(axis=0)
        return {"spread": len(evidence.masks) * kept * (1 - kept)}

    @override
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `penalty`, `r2`, `rest`, `ids`, `weights` and `variances` of each output.

        The first three are (n_outputs,), the others (n_outputs, reach). `r2` is leave-one-out. The prior is
        learnt from this block and shared by the outputs of a point. `rest` is the mean prior variance of the
        training points without a weight. Weights and variances are float32, because they take most of the
        table.
        """
        check_outputs(evidence.masks, block.outputs)
        outputs = block.outputs - block.outputs.mean(axis=0, dtype=np.float64)
        products, totals = products_of(evidence.masks, outputs), (outputs**2).sum(axis=0)
        prior = self._prior(products, totals, factor["spread"], evidence, block)
        own = [slice(start, start + block.per_point) for start in range(0, len(totals), block.per_point)]
        parts = [
            self._fit_point(evidence, products[:, columns], totals[columns], prior[:, number])
            for number, columns in enumerate(own)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @override
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> "LocalDatamodel":
        check_outputs(evidence.masks, block.outputs)
        return LocalDatamodel(
            kept=evidence.masks.mean(axis=0),
            offset=block.outputs.mean(axis=0, dtype=np.float64),
            per_point=block.per_point,
            ids=fit["ids"],
            values=fit["weights"],
            variances=fit["variances"],
            rest=fit["rest"],
        )

    def _prior(
        self,
        products: Products,
        totals: PerOutput,
        spread: Float[np.ndarray, " n_train"],
        evidence: Evidence,
        block: Block,
    ) -> Float[np.ndarray, "n_train n_block_points"]:
        """Return the prior variance of each training point's weight in the outputs of each block point.

        The unit of a variance is the mean variance of the block point's outputs.
        """
        n_points = len(block.points)
        variance = totals.reshape(n_points, -1).mean(axis=1) / len(evidence.masks)
        known = np.where(spread > 0, spread, 1.0)[:, None]
        marginal = np.square(products / known).reshape(len(spread), n_points, -1).mean(axis=2) / np.where(
            variance > 0, variance, 1.0
        )
        columns = pair_columns(evidence.seen(), len(spread), block.points)
        few = np.unique(
            np.linspace(0, n_points - 1, max(1, min(n_points, MOST_PAIRS // len(spread)))).round().astype(int)
        )
        noise = np.broadcast_to(1 / known, (len(spread), len(few)))
        learnt = learn_prior(
            columns[:, few].reshape(-1, columns.shape[2]), marginal[:, few].ravel(), noise.ravel()
        )
        return prior_variances(columns, learnt)

    def _fit_point(
        self, evidence: Evidence, products: Products, totals: PerOutput, prior: Float[np.ndarray, " n_train"]
    ) -> dict[str, np.ndarray]:
        """Return the results for the outputs of one point.

        products: the products of masks with these outputs. totals: the sums of squares of the outputs. prior:
        the prior variance of each training point's weight.
        """
        n_models, n_outputs = len(evidence.masks), len(totals)
        ids = np.sort(np.argsort(-prior, kind="stable")[: self.reach])
        relative = prior / prior[ids].mean()
        root = np.sqrt(relative[ids])
        values, vectors = np.linalg.eigh(_gram(evidence, ids) * (root[:, None] * root))
        values, vectors = np.maximum(values, 0.0), root[:, None] * vectors
        rotated = vectors.T @ products[ids]
        penalties = GRID * values.mean()
        errors = _leave_one_out(values, rotated, totals, penalties, n_models)
        best = errors.argmin(axis=0)
        penalty, error = penalties[best], errors[best, np.arange(n_outputs)]
        shrunk = 1 / (values[:, None] + penalty)
        beyond = np.delete(relative, ids)
        return {
            "penalty": penalty,
            "r2": np.where(
                totals > 0,
                1 - error * (n_models - 1) ** 2 / n_models / np.where(totals > 0, totals, 1.0),
                0.0,
            ),
            "rest": error / penalty * (beyond.mean() if len(beyond) else 0.0),
            "ids": np.broadcast_to(ids.astype(np.int32), (n_outputs, len(ids))),
            "weights": (vectors @ (rotated * shrunk)).T.astype(np.float32),
            "variances": (vectors**2 @ shrunk * error).T.astype(np.float32),
        }


@dataclass(frozen=True, kw_only=True)
class LocalDatamodel:
    """Linear datamodels with few weights each.

    ids (n_outputs, n_weights): the training points that have a weight, equal for all outputs of a point.
    values and variances: their weights and posterior variances. rest (n_outputs,): the variance of the weight
    of every other point. kept (n_train,): the share of fitted models that keep each point. offset
    (n_outputs,): the mean outputs of the fitted models.
    """

    kept: Float[np.ndarray, " n_train"]
    offset: PerOutput
    per_point: int
    ids: Int[np.ndarray, "n_outputs n_weights"]
    values: Float[np.ndarray, "n_outputs n_weights"]
    variances: Float[np.ndarray, "n_outputs n_weights"]
    rest: PerOutput

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train)."""
        require_masks("masks", masks, len(self.kept))
        parts = []
        for start in range(0, len(self.ids), self.per_point):
            ids = self.ids[start]
            parts.append((masks[:, ids] - self.kept[ids]) @ self.values[start : start + self.per_point].T)
        return np.concatenate(parts, axis=1) + self.offset

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        The standard error takes the errors of weights as independent, which they nearly are if masks are
        random. Raises DataError on ids that are repeated or not training points.
        """
        indices = as_indices(indices, len(self.kept))
        removed = np.isin(self.ids, indices)
        variance = (self.variances * removed).sum(axis=1) + self.rest * (len(indices) - removed.sum(axis=1))
        return Effect(-(self.values * removed).sum(axis=1), np.sqrt(variance))

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return one weight for each training point and output; most are 0."""
        found = np.zeros((len(self.kept), len(self.ids)))
        np.put_along_axis(found, self.ids.T.astype(np.int64), self.values.T, axis=0)
        return found


def products_of(masks: Masks, outputs: Outputs) -> Products:
    """Return the products of masks with centred outputs, (n_train, n_outputs).

    Because the outputs are centred, the masks need not be. Only few mask columns are held as floats at a
    time.
    """
    parts = [
        masks[:, start : start + _COLUMNS].T.astype(np.float64) @ outputs
        for start in range(0, masks.shape[1], _COLUMNS)
    ]
    return np.concatenate(parts)


def _gram(evidence: Evidence, ids: Indices) -> Gram:
    """Return the products of centred masks between the training points in ids."""
    if evidence.n_train > _MOST_KEPT:
        return _products_of_masks(evidence.masks[:, ids])
    return evidence.once("local_gram", lambda: _products_of_masks(evidence.masks))[np.ix_(ids, ids)]


def _products_of_masks(masks: Masks) -> Gram:
    centred = (masks - masks.mean(axis=0)).astype(np.float32)
    return centred.T @ centred


def _leave_one_out(
    values: Float[np.ndarray, " n_chosen"],
    rotated: Outputs,
    total: PerOutput,
    penalties: Float[np.ndarray, " n_penalties"],
    n_models: int,
) -> Float[np.ndarray, "n_penalties n_outputs"]:
    """Return the mean squared leave-one-out error at each penalty.

    Leverages are replaced by their mean, as in `penalties.leave_one_out`.
    """
    wide = values + penalties[:, None]
    residual = total - ((values + 2 * penalties[:, None]) / wide**2) @ rotated**2
    freedom = np.maximum(1 - ((values / wide).sum(axis=1) + 1) / n_models, 1e-12)
    return np.asarray(np.maximum(residual, 0.0) / n_models / freedom[:, None] ** 2)
