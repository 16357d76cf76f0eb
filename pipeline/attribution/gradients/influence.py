"""Influence: one damped Gauss-Newton step of each trained model for a whole set at once.

The step uses the curvature of the points that remain. Removing F moves the parameters by (H_R + λI)⁻¹ Σ_F
g_i. Here g_i is the gradient of point i's loss, and H_R = Σ_{i not in F} J_iᵀ (diag p_i − p_i p_iᵀ) J_i is
the generalised Gauss-Newton matrix of the other points (Koh and Liang 2017, with the curvature of the whole
set subtracted; Martens 2020 for the matrix). J_i is the derivative of point i's logits by the parameters, and
p_i holds the predicted probabilities. Another objective than cross-entropy provides its own slopes and
curvatures.

The sum over all points, H, is a sum of outer products of *rows*: each row is the gradient of a mixture of one
point's logits, scaled by the square root of the loss's curvature along it. Only the rows whose mixtures have
the largest curvature are kept, and of their span only the principal axes. In these axes the curvature of a
set is subtracted and the system is solved. Each step is Σ_F g_i less a sum of rows, divided by λ, so tables
store only a coefficient for each row instead of a parameter vector.
"""

from typing import ClassVar

import numpy as np
import scipy.linalg
from jaxtyping import Float
from typing_extensions import override

from pipeline.attribution.estimator import Arrays
from pipeline.attribution.gradients.parameter_steps import Coefficients, Removed, StepEstimator
from pipeline.core.arrays import Indices
from pipeline.core.errors import ConfigError
from pipeline.core.settings.neutral import setting
from pipeline.training.gradients import Checkpoints, Cotangents, Vectors
from pipeline.training.recipe.objectives import LabelObjective

# The most numbers that the rows of one model may take: 4 GB as float32.
_MOST_NUMBERS = 2**30


class GroupInfluence(StepEstimator):
    """Damped Gauss-Newton steps.

    damping: λ divided by the number of training points, so that it compares with weight decay. It also
    accounts for training that stops before it converges. rows and axes: for each model, the curvature is
    approximated by this many rows, and these by this many principal axes.
    """

    name: ClassVar[str] = "influence"
    knows: ClassVar[tuple[type, ...]] = (LabelObjective,)

    damping: float = setting(neutral=0.0035, gt=0, le=1e9)
    rows: int = setting(neutral=2048, ge=1, le=1_000_000_000)
    axes: int = setting(neutral=512, ge=1, le=100_000)

    @override
    def check_size(self, checkpoints: Checkpoints) -> None:
        """Raise ConfigError if the rows of one model would not fit in memory."""
        n_rows = min(self.rows, checkpoints.n_train * checkpoints.n_classes)
        if n_rows * checkpoints.n_parameters > _MOST_NUMBERS:
            raise ConfigError(
                f"influence would keep {n_rows} rows of {checkpoints.n_parameters} numbers; lower `rows`, or "
                "set `layers` to 'last'"
            )

    @override
    def look(self, checkpoints: Checkpoints, model: int) -> dict[str, np.ndarray]:
        """Return the rows, which are gradients of single points that approximate the curvature of the loss.

        `owner` (n_rows,) holds the training point of each row. `cotangent` (n_rows, n_classes) holds the
        mixture of that point's logits whose gradient the row is. `axes` (n_rows, n_axes) holds the
        coordinates of the rows on the principal axes. Raises ConfigError if the rows would not fit in memory.
        """
        self.check_size(checkpoints)
        points = np.arange(checkpoints.n_train)
        owners, cotangents = _doubts(
            checkpoints.objective.curvatures(checkpoints.logits(model, points)), self.rows
        )
        rows = checkpoints.gradients(model, owners, cotangents)
        gram = (rows @ rows.T).astype(np.float64)
        first = max(0, len(gram) - self.axes)
        values, vectors = scipy.linalg.eigh(gram, subset_by_index=(first, len(gram) - 1))
        return {
            "owner": owners,
            "cotangent": cotangents,
            "axes": (vectors * np.sqrt(np.maximum(values, 1e-9))).astype(np.float32),
        }

    @override
    def coefficients(
        self, learnt: Arrays, checkpoints: Checkpoints, model: int, removed: Removed
    ) -> Coefficients:
        """Return the multiple of each row that a step subtracts, (n_sets, n_rows)."""
        axes, damping = learnt["axes"].astype(np.float64), self.damping * checkpoints.n_train
        values = np.square(axes).sum(axis=0)
        pulls = checkpoints.pull(
            model, np.arange(checkpoints.n_train), self._errors(checkpoints, model, removed)
        )
        along = _along_rows(learnt, checkpoints, model, pulls) @ axes / values
        found = np.empty((len(removed), len(axes)), np.float32)
        for number, gone in enumerate(removed):
            lost = axes[gone[learnt["owner"]]]
            kept = np.diag(values) - lost.T @ lost
            damped = kept + damping * np.eye(len(values))
            found[number] = axes @ (
                scipy.linalg.cho_solve(scipy.linalg.cho_factor(damped), kept @ along[number]) / values
            )
        return found

    @override
    def steps(
        self,
        learnt: Arrays,
        checkpoints: Checkpoints,
        model: int,
        removed: Removed,
        coefficients: Coefficients,
    ) -> Vectors:
        fields = self._errors(checkpoints, model, removed) - _over_points(learnt, checkpoints, coefficients)
        return checkpoints.pull(model, np.arange(checkpoints.n_train), fields) / (
            self.damping * checkpoints.n_train
        )

    @override
    def singles(
        self, learnt: Arrays, checkpoints: Checkpoints, model: int, points: Indices, cotangents: Cotangents
    ) -> Float[np.ndarray, "n_train n_listed"]:
        """Return the change of a model's outputs when each training point alone is removed.

        This is the formula of influence functions, except that each point's own curvature is removed with it.
        """
        everything, axes = np.arange(checkpoints.n_train), learnt["axes"].astype(np.float64)
        values, damping = np.square(axes).sum(axis=0), self.damping * checkpoints.n_train
        vectors = checkpoints.gradients(model, points, cotangents)
        along = _along_rows(learnt, checkpoints, model, vectors) @ axes / values
        taken_back = checkpoints.pull(
            model, everything, _over_points(learnt, checkpoints, (along / (values + damping)) @ axes.T)
        )
        errors = _without_own_curvature(
            learnt, self._errors(checkpoints, model, np.ones((1, checkpoints.n_train), bool))[0], damping
        )
        return np.einsum(
            "onk,nk->no", checkpoints.push(model, (vectors - taken_back) / damping, everything), errors
        )

    def _errors(
        self, checkpoints: Checkpoints, model: int, removed: Removed
    ) -> Float[np.ndarray, "n_sets n_train n_classes"]:
        """Return the gradients of the removed points' losses by their logits; 0 for the other points."""
        points = np.arange(checkpoints.n_train)
        errors = checkpoints.objective.slopes(checkpoints.logits(model, points), checkpoints.labels[points])
        return (removed[:, :, None] * errors).astype(np.float32)


def _along_rows(
    learnt: Arrays, checkpoints: Checkpoints, model: int, vectors: Vectors
) -> Float[np.ndarray, "n_vectors n_rows"]:
    """Return the inner product of each parameter vector with each row."""
    changes = checkpoints.push(model, vectors, np.arange(checkpoints.n_train))
    return (changes[:, learnt["owner"]] * learnt["cotangent"]).sum(axis=2)


def _over_points(
    learnt: Arrays, checkpoints: Checkpoints, coefficients: Coefficients
) -> Float[np.ndarray, "n_sets n_train n_classes"]:
    """Return a sum of rows for each set of coefficients, written as cotangents of all training points.

    `Checkpoints.pull` turns these cotangents into the parameter vector of the sum.
    """
    found = np.zeros((len(coefficients), checkpoints.n_train, checkpoints.n_classes), np.float32)
    for field, coefficient in zip(found, coefficients, strict=True):
        np.add.at(field, learnt["owner"], coefficient[:, None] * learnt["cotangent"])
    return found


def _without_own_curvature(
    learnt: Arrays, errors: Float[np.ndarray, "n_train n_classes"], damping: float
) -> Float[np.ndarray, "n_train n_classes"]:
    """Return errors corrected for each point's own curvature, by Woodbury's formula.

    A corrected error under the curvature of all points gives the same step as the given error under the
    curvature of all other points.
    """
    weighted = learnt["axes"] / (np.square(learnt["axes"]).sum(axis=0) + damping)
    corrected = errors.copy()
    for point in np.unique(learnt["owner"]).tolist():
        own = np.flatnonzero(learnt["owner"] == point)
        cotangents = learnt["cotangent"][own]
        lengths = np.square(cotangents).sum(axis=1)
        along = cotangents @ errors[point] / np.where(lengths > 0, lengths, 1.0)
        leverage = weighted[own] @ learnt["axes"][own].T
        corrected[point] += (np.linalg.solve(np.eye(len(own)) - leverage, along) - along) @ cotangents
    return corrected


def _doubts(
    curvatures: Float[np.ndarray, "n_train n_classes n_classes"], n_rows: int
) -> tuple[Indices, Float[np.ndarray, "n_rows n_classes"]]:
    """Return the n_rows mixtures of single points' logits along which the loss curves most.

    The result is the points (n_rows,) and the mixtures (n_rows, n_classes). Each mixture is scaled by the
    square root of its curvature.
    """
    values, vectors = np.linalg.eigh(curvatures)
    most = np.sort(np.argsort(-values, axis=None, kind="stable")[:n_rows])
    owners, which = np.unravel_index(most, values.shape)
    return owners, (
        vectors[owners, :, which] * np.sqrt(np.maximum(values[owners, which], 0.0))[:, None]
    ).astype(np.float32)
