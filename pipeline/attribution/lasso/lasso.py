"""LASSO datamodels, the paper's estimator.

Few points have a weight in an output, each output at the penalty that predicts models left out best.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from pipeline.attribution.datamodel import Effect, WeightMatrix
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, check_masks, check_outputs
from pipeline.attribution.lasso.path import FLOAT32, Heldout, LassoFit, Path, Solver, fit_path
from pipeline.core.arrays import Indices, Masks
from pipeline.core.errors import ConfigError
from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting

# Training points up to which `auto` descends coordinates: two Gram matrices of float32 are then 2 GB. To
# equal gaps, on one core, the batched solver takes 4 to 6 times as long for 500 to 8,000 points, so it serves
# where that memory is not there.
MOST_COORDINATES = 16_000
# The least share of noise that is not the fit's own: an output with a weight for nearly every model has no
# errors to learn from.
LEAST_FREEDOM = 0.05


class Lasso(Estimator):
    """LASSO regression of outputs on masks.

    `n_penalties` for each output, from the one that leaves no weight down to `smallest` times it.

    The penalty is the one with the least squared error on `heldout_share` of the models, drawn at random; all
    models are then fitted at it. An output's path ends after `patience` rises of that error in a row
    (n_penalties: never). tolerance: the duality gap at which an output is solved, as a share of its objective
    at zero weights; `gap` in what is fitted certifies it. solver: `coordinate` keeps Gram matrices (n_train,
    n_train) in memory, `batched` runs on torch, on a GPU if there is one, and needs none; `auto` is the first
    up to 16,000 points. Weights are stored dense, n_outputs × n_train × 4 bytes: for all logits of 50,000
    points of 10 classes 100 GB, as the paper's.
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

    def factor(self, evidence: Evidence) -> Arrays:
        """Return which models choose the penalty and do not shape the path, `heldout` (n_models,)."""
        check_masks(evidence.masks)
        n_models = len(evidence.masks)
        self.check_count(n_models)
        heldout = np.zeros(n_models, bool)
        heldout[
            generator("lasso_heldout", n_models).choice(n_models, self._n_heldout(n_models), replace=False)
        ] = True
        return {"heldout": heldout}

    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return for each output its weights (n_train,) and numbers.

        See `LassoDatamodel` for those that its effects need.

        penalty; gap, the certificate; r2 on the models left out at that penalty, the best on them: too high
        by .1 with 100 models, .01 with 1,000; at_end, 1 where the last penalty of the path was the best,
        which many weights at a high r2 show; n_weights that are not 0.
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

    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> "LassoDatamodel":
        """Return the datamodel of a block of outputs."""
        weights = fit["weights"]
        everything = fit["intercept"] + weights.sum(axis=1, dtype=np.float64)
        return LassoDatamodel(
            matrix=weights.T, everything=everything, noise=fit["noise"], shrinkage=fit["shrinkage"]
        )

    def _n_heldout(self, n_models: int) -> int:
        """Return how many models choose the penalty."""
        return max(round(self.heldout_share * n_models), 1)

    def _solver(self, masks: Masks, heldout: Heldout) -> Solver:
        """Return the solver asked for.

        Each is imported only where it runs, as compiler and torch take seconds to load.
        """
        if self.solver == "coordinate" or (self.solver == "auto" and masks.shape[1] <= MOST_COORDINATES):
            from pipeline.attribution.lasso.coordinate_descent import Coordinate

            return Coordinate(masks, heldout)
        from pipeline.attribution.lasso.proximal_gradient import Batched

        return Batched(masks, heldout, exact=self.tolerance < FLOAT32)


@dataclass(frozen=True, kw_only=True)
class LassoDatamodel(WeightMatrix):
    """Weights of raw masks, and how far they may be from the truth.

    noise (n_outputs,): the variance of each weight, were it not shrunk. shrinkage (n_outputs,): by how much
    each weight is shrunk towards 0.
    """

    noise: Float[np.ndarray, " _"]
    shrinkage: Float[np.ndarray, " _"]

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        The sum of their weights, negated.

        The standard error adds up the noise of |indices| weights and, as they may err to one side, what the
        penalty took from those that are not 0. On planted weights (normal, sparse or falling as 1/rank; R² .3
        to .95; 400 or 1,000 models of 300 to 800 points) errors over it are .2 to 1.4 rms for random sets, .9
        to 1.5 for the points with the largest weights, 1 to 3 for those with the largest of one sign. Raises
        DataError on ids that are repeated or not training points.
        """
        mean = super().effect_of_removing(indices).mean
        lost = self.shrinkage * np.sign(self.matrix[indices]).sum(axis=0, dtype=np.float64)
        return Effect(mean, np.sqrt(len(indices) * self.noise + lost**2))


def _uncertainty(found: LassoFit, n_weights: Indices, masks: Masks) -> dict[str, np.ndarray]:
    """Return `noise` and `shrinkage`, each (n_outputs,), of weights for masks (n_models, n_train), as in the limit of many models and points.

    There a weight is that of one regression on its point alone, with variance error/(n_models·v) where v is
    the variance of a mask bit, less the penalty over v·(1 − n_weights/n_models). Source: Bayati and Montanari
    2012, theorem 1.5 (for normal designs; binary ones agree).
    """
    kept = masks.mean(axis=0)
    variance = (kept * (1 - kept)).mean()
    freedom = np.maximum(1 - n_weights / len(masks), LEAST_FREEDOM)
    return {"noise": found.error / (len(masks) * variance), "shrinkage": found.penalty / (variance * freedom)}
