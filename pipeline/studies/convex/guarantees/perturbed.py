"""Certified removal from many models at once, and the exact likelihood of each unlearned model.

Each model is trained with its own draw of noise in the objective.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from pipeline.core.errors import ConfigError, TrainingError
from pipeline.core.seeds import generator
from pipeline.studies.convex.guarantees.attack import AttackScores
from pipeline.studies.convex.problems.problem import GRADIENT_TOLERANCE, ConvexFeatures, ConvexProblem
from pipeline.studies.convex.removals.base import RemovalRequest

DrawnModels = Float[np.ndarray, "n_draws n_features"]
Matrices = Float[np.ndarray, "n_draws n_features n_features"]
DrawnWeights = Float[np.ndarray, "n_draws n_points"]

# Number of draws whose Hessians are in memory at once: with 65 features they take 8 MB.
DRAWS_AT_ONCE = 250
MOST_DRAW_ROUNDS = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Perturbed:
    """A request to a binary classifier that was trained with bᵀθ in its objective, b ~ N(0, σ²I).

    One Newton step unlearns. A model θ is described by z = −∇L_R(θ), where L_R is the objective of the
    retained points without noise. A retrained model has z = b, its own noise. An unlearned model has z =
    T(b), where T maps the noise of the original model to z after its Newton step. Both densities of z are
    known in closed form, so the attack that compares them is optimal. Raises ConfigError unless the problem
    is binary logistic.
    """

    request: RemovalRequest
    sigma: float

    def __post_init__(self) -> None:
        if self.request.problem.n_columns != 1 or self.request.problem.third == 0:
            raise ConfigError(
                "draws of certified removal are vectorised for two classes only; give a binary logistic "
                "problem"
            )

    def scores(self, n_draws: int, seed: int) -> tuple[AttackScores, AttackScores]:
        """Return the scores of n_draws unlearned and of n_draws retrained models.

        A score is ln(density after unlearning / density after retraining).
        """
        rng, n_features = generator("perturbed", seed), self.request.problem.n_features
        noise, other = (self.sigma * rng.standard_normal((n_draws, n_features)) for _ in range(2))
        trained, retrained = minimisers(self.request.problem, noise), minimisers(self.request.retained, other)
        unlearned = np.concatenate([self._score(part, self._step(part)) for part in _chunks(trained)])
        return unlearned, np.concatenate(
            [
                self._score(origin, part - origin)
                for part in _chunks(retrained)
                for origin in [self._origin(part)]
            ]
        )

    def residuals(self, n_draws: int, seed: int) -> Float[np.ndarray, " n_draws"]:
        """Return the gradient residual that each Newton step leaves, for the unlearned models of `scores`."""
        noise = self.sigma * generator("perturbed", seed).standard_normal(
            (n_draws, self.request.problem.n_features)
        )
        trained = minimisers(self.request.problem, noise)
        unlearned = np.concatenate([part + self._step(part) for part in _chunks(trained)])
        return np.linalg.norm(gradients(self.request.retained, unlearned) + noise, axis=1)

    def _step(self, models: DrawnModels) -> DrawnModels:
        """Return the Newton step of each model: H_R(θ)⁻¹ g_F(θ).

        H_R is the Hessian of the retained points, g_F the gradient of the losses of the forgotten points.
        """
        lost = gradients(self.request.forgotten, models, with_penalty=False)
        return np.linalg.solve(self._hessians(models), lost[..., None])[..., 0]

    def _origin(self, unlearned: DrawnModels) -> DrawnModels:
        """Return the models from which one unlearning step (`_step`) leads to the given unlearned models.

        They are found by Newton's method. Raises TrainingError if they are not found.
        """
        models = unlearned - self._step(unlearned)
        for _ in range(MOST_DRAW_ROUNDS):
            step = self._step(models)
            missing = unlearned - models - step
            if np.abs(missing).max() <= GRADIENT_TOLERANCE * np.abs(unlearned).max():
                return models
            retained, whole, change = self._curved(models, step)
            models = models + np.linalg.solve(whole - change, retained @ missing[..., None])[..., 0]
        raise TrainingError(
            f"the models before the Newton steps are not found in {MOST_DRAW_ROUNDS} rounds; forget "
            "fewer points or raise the penalty"
        )

    def _score(self, origin: DrawnModels, step: DrawnModels) -> AttackScores:
        """Return ln(density of T(b) / density of N(0, σ²I)) at each model.

        It is ln N(b) − ln|det DT(b)| − ln N(T(b)), where N is the density of the noise and DT the derivative
        of T.
        """
        before = gradients(self.request.problem, origin)
        after = gradients(self.request.retained, origin + step)
        gained = (np.square(after).sum(axis=1) - np.square(before).sum(axis=1)) / (2 * self.sigma**2)
        return gained - self._log_stretch(origin, step)

    def _log_stretch(self, origin: DrawnModels, step: DrawnModels) -> AttackScores:
        """Return ln|det DT| of each model.

        T is b → θ(b) → θ + v → −∇L_R, with v the Newton step. The derivatives of these maps are −H_S⁻¹,
        H_R⁻¹(H_S − K) and −H_R(θ + v). H_S is the Hessian of all points, H_R that of the retained points. K =
        Σ_R ℓ‴(xᵢᵀθ)(xᵢᵀv) xᵢxᵢᵀ is the change of the Hessian along the step.
        """
        retained, whole, change = self._curved(origin, step)
        terms = (self._hessians(origin + step), whole - change), (retained, whole)
        above, below = (sum(np.linalg.slogdet(matrix)[1] for matrix in part) for part in terms)
        return above - below

    def _curved(self, models: DrawnModels, step: DrawnModels) -> tuple[Matrices, Matrices, Matrices]:
        """Return H_R, H_S and K of each model and its step; `_log_stretch` defines them."""
        features = self.request.retained.features
        retained, p = self._hessians(models), expit(models @ features.T)
        whole = retained + weighted(
            self._outer_forgotten, _variance(models @ self.request.forgotten.features.T)
        )
        return retained, whole, weighted(self._outer, p * (1 - p) * (1 - 2 * p) * (step @ features.T))

    def _hessians(self, models: DrawnModels) -> Matrices:
        """Return H_R of each model."""
        retained = self.request.retained
        return weighted(self._outer, _variance(models @ retained.features.T)) + 2 * retained.penalty * np.eye(
            retained.n_features
        )

    @cached_property
    def _outer(self) -> np.ndarray:
        return outer_products(self.request.retained.features)

    @cached_property
    def _outer_forgotten(self) -> np.ndarray:
        return outer_products(self.request.forgotten.features)


def minimisers(problem: ConvexProblem, noise: DrawnModels) -> DrawnModels:
    """Return the minimiser of the objective + bᵀθ for each row b of noise.

    All rows share the Hessian of the minimiser without noise. This takes more rounds than one Hessian for
    each row, but each round is one product of matrices. Raises TrainingError if the noise is too large for a
    shared Hessian.
    """
    middle = problem.minimise()
    factor, models = cho_factor(problem.hessian(middle)), np.tile(middle[:, 0], (len(noise), 1))
    wanted = GRADIENT_TOLERANCE * (1 + np.abs(noise).max())
    for _ in range(MOST_DRAW_ROUNDS):
        missing = gradients(problem, models) + noise
        if np.abs(missing).max() <= wanted:
            return models
        models = models - cho_solve(factor, missing.T).T
    raise TrainingError(
        f"perturbed minimisers are not found in {MOST_DRAW_ROUNDS} rounds; lower the noise of "
        f"{noise.std():.3g}, or raise the penalty"
    )


def gradients(problem: ConvexProblem, models: DrawnModels, *, with_penalty: bool = True) -> DrawnModels:
    """Return the gradient of the objective, or of its losses alone, for each model."""
    found = problem.slopes(problem.features @ models.T).T @ problem.features
    return found + 2 * problem.penalty * models if with_penalty else found


def outer_products(features: ConvexFeatures) -> Float[np.ndarray, "n_points n_pairs"]:
    """Return xᵢxᵢᵀ of each point, upper triangle flattened.

    Any weighted sum of them is then one product of matrices.
    """
    rows, columns = np.triu_indices(features.shape[1])
    return features[:, rows] * features[:, columns]


def weighted(outer: Float[np.ndarray, "n_points n_pairs"], weights: DrawnWeights) -> Matrices:
    """Return Σᵢ wᵢ xᵢxᵢᵀ for each row of weights."""
    flat = weights @ outer
    n_features = round((np.sqrt(8 * outer.shape[1] + 1) - 1) / 2)
    rows, columns = np.triu_indices(n_features)
    found = np.empty((len(weights), n_features, n_features))
    found[:, rows, columns] = found[:, columns, rows] = flat
    return found


def _variance(outputs: DrawnWeights) -> DrawnWeights:
    p = expit(outputs)
    return p * (1 - p)


def _chunks(models: DrawnModels) -> Iterator[DrawnModels]:
    yield from (models[start : start + DRAWS_AT_ONCE] for start in range(0, len(models), DRAWS_AT_ONCE))
