"""The estimator of LASSO datamodels, which Georgiev et al. 2025 use.

Each output gives a weight other than 0 to few training points. Its penalty is the one whose fit best predicts
models that were left out of the fit.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from pipeline.attribution.datamodel import Effect, WeightMatrix
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, check_masks, check_outputs
from pipeline.attribution.lasso.penalty_path import FLOAT32, Heldout, LassoFit, Path, Solver, fit_path
from pipeline.core.arrays import Indices, Masks
from pipeline.core.errors import ConfigError
from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting

# Training points up to which `auto` uses coordinate descent; its Gram matrices and counts, four arrays
# (n_train, n_train) of float32, then take 4 GB. With equal duality gaps, on one core, the batched solver
# takes 4 to 6 times as long for 500 to 8,000 points, so `auto` uses it only above this number.
MOST_COORDINATES = 16_000
# Lower bound of 1 − n_weights / n_models, by which the estimated shrinkage is divided. Without it, the
# standard errors of an output with as many weights as models would be infinite.
LEAST_FREEDOM = 0.05


class Lasso(Estimator):
    """LASSO regression of outputs on masks.

    Each output is fitted along a path of `n_penalties` penalties, from the one at which all weights are 0
    down to `smallest` times it. The penalty with the least squared error on `heldout_share` of the models,
    drawn at random, is chosen; all models are then fitted at it. The path of an output ends early after
    `patience` rises of that error in a row; a patience of n_penalties never ends it early. tolerance: the
    duality gap at which an output counts as solved, as a share of its objective at zero weights; `gap` in the
    results holds the gap that was reached. solver: `coordinate` keeps Gram matrices (n_train, n_train) in
    memory; `batched` runs on torch, on a GPU if there is one, and keeps none that is larger than the masks;
    `auto` is `coordinate` up to 16,000 points. Weights are stored dense and take n_outputs × n_train × 4
    bytes: 100 GB for all logits of 50,000 points of 10 classes, as in Georgiev et al. 2025.
    """

    name: ClassVar[str] = "lasso"
    scalars: ClassVar[tuple[str, ...]] = ("penalty", "r2", "gap", "at_end", "n_weights")

    n_penalties: int = setting(neutral=20, ge=2, le=1000)
    smallest: float = setting(neutral=1e-2, gt=0, lt=1)
    heldout_share: float = setting(neutral=0.2, gt=0, lt=1)
    patience: int = setting(neutral=3, ge=1, le=1000)
    tolerance: float = setting(neutral=1e-4, ge=1e-6, lt=1)
    solver: Literal["auto", "coordinate", "batched"] = setting(neutral="auto")

    @override
    def check_count(self, n_models: int) -> None:
        n_left = n_models - self._n_heldout(n_models)
        if n_left < 2:
            raise ConfigError(
                f"heldout_share {self.heldout_share} leaves {n_left} of {n_models} models to fit; lower it "
                "or train more"
            )

    @override
    def factor(self, evidence: Evidence) -> Arrays:
        """Return `heldout` (n_models,): which models serve to choose the penalty.

        The fits along the path leave these models out.
        """
        check_masks(evidence.masks)
        n_models = len(evidence.masks)
        self.check_count(n_models)
        heldout = np.zeros(n_models, bool)
        heldout[
            generator("lasso_heldout", n_models).choice(n_models, self._n_heldout(n_models), replace=False)
        ] = True
        return {"heldout": heldout}

    @override
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return the weights (n_outputs, n_train), and numbers (n_outputs,) about the fit of each output.

        penalty: the chosen penalty. gap: the duality gap, an upper bound on the distance of the fit from the
        optimum. r2: the share of variance explained on the models left out, at the penalty that is best for
        them. So it is too high, by 0.1 with 100 models and by 0.01 with 1,000. at_end: 1 if the last penalty
        of the path was the best, as for outputs with many weights and a high r2. n_weights: the number of
        weights that are not 0. noise and shrinkage: see `LassoDatamodel`.
        """
        check_outputs(evidence.masks, block.outputs)
        path = Path(
            n_penalties=self.n_penalties,
            smallest=self.smallest,
            patience=self.patience,
            tolerance=self.tolerance,
        )
        heldout = factor["heldout"]
        solver = evidence.once(
            ("lasso", self.solver, self.tolerance < FLOAT32, heldout.tobytes()),
            lambda: self._solver(evidence.masks, heldout),
        )
        found = fit_path(solver, evidence.masks, block.outputs, path)
        n_weights = np.count_nonzero(found.weights, axis=1)
        return {
            "weights": found.weights,
            "intercept": found.intercept,
            "penalty": found.penalty,
            "gap": found.gap,
            "r2": 1
            - np.divide(
                found.error, found.error_at_zero, out=np.ones_like(found.error), where=found.error_at_zero > 0
            ),
            "at_end": (found.position == self.n_penalties - 1).astype(np.float64),
            "n_weights": n_weights.astype(np.float64),
            **_uncertainty(found, n_weights, evidence.masks),
        }

    @override
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> "LassoDatamodel":
        weights = fit["weights"]
        everything = fit["intercept"] + weights.sum(axis=1, dtype=np.float64)
        return LassoDatamodel(
            matrix=weights.T, everything=everything, noise=fit["noise"], shrinkage=fit["shrinkage"]
        )

    def _n_heldout(self, n_models: int) -> int:
        """Return the number of models that choose the penalty."""
        return max(round(self.heldout_share * n_models), 1)

    def _solver(self, masks: Masks, heldout: Heldout) -> Solver:
        """Return the solver that the settings ask for.

        Each solver is imported only if it runs, because the compiler and torch take seconds to load.
        """
        if self.solver == "coordinate" or (self.solver == "auto" and masks.shape[1] <= MOST_COORDINATES):
            from pipeline.attribution.lasso.coordinate_descent import Coordinate

            return Coordinate(masks, heldout)
        from pipeline.attribution.lasso.proximal_gradient import Batched

        return Batched(masks, heldout, exact=self.tolerance < FLOAT32)


@dataclass(frozen=True, kw_only=True)
class LassoDatamodel(WeightMatrix):
    """Weights of raw masks, and the uncertainty of the weights.

    noise (n_outputs,): the variance that each weight of an output would have without shrinkage. shrinkage
    (n_outputs,): the amount by which the penalty moves each weight towards 0.
    """

    noise: Float[np.ndarray, " _"]
    shrinkage: Float[np.ndarray, " _"]

    @override
    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        It is the negated sum of their weights. The standard error adds up the noise of |indices| weights and
        the amount by which the penalty shrank those that are not 0, since they may all err in one direction.
        On planted weights (normal, sparse or falling as 1/rank; R² 0.3 to 0.95; 400 or 1,000 models of 300 to
        800 points) the rms ratio of error to standard error is 0.2 to 1.4 for random sets, 0.9 to 1.5 for the
        points with the largest weights, and 1 to 3 for the points with the largest weights of one sign.
        Raises DataError on ids that are repeated or not training points.
        """
        mean = super().effect_of_removing(indices).mean
        lost = self.shrinkage * np.sign(self.matrix[indices]).sum(axis=0, dtype=np.float64)
        return Effect(mean, np.sqrt(len(indices) * self.noise + lost**2))


def _uncertainty(found: LassoFit, n_weights: Indices, masks: Masks) -> dict[str, np.ndarray]:
    """Return `noise` and `shrinkage`, each (n_outputs,), of weights for masks (n_models, n_train).

    The formulas hold in the limit of many models and points. In this limit a weight is the weight of a
    regression on its point alone, moved towards 0 by the shrinkage. The weight before this move has variance
    error/(n_models·v), where v is the variance of a mask bit. The shrinkage is the penalty over v·(1 −
    n_weights/n_models). Source: Bayati and Montanari 2012, theorem 1.5 (for normal designs; binary ones
    agree).
    """
    kept = masks.mean(axis=0)
    variance = (kept * (1 - kept)).mean()
    freedom = np.maximum(1 - n_weights / len(masks), LEAST_FREEDOM)
    return {"noise": found.error / (len(masks) * variance), "shrinkage": found.penalty / (variance * freedom)}
