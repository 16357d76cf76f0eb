"""The base class of removals, the request that a removal gets, and the trajectory that it returns."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve

from pipeline.core.arrays import Indices
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.core.registry import Plugin
from pipeline.studies.convex.problems.problem import ConvexOutputs, ConvexProblem, Theta


@dataclass(frozen=True, kw_only=True, eq=False)
class RemovalRequest:
    """A trained model that must forget points.

    problem covers all points, and start is its minimiser. forget holds the ids of the points to forget. seed
    is the seed of random draws. oracle is the minimiser without the forgotten points. forecast (n_points,
    n_columns) predicts the outputs of the oracle. oracle and forecast are set only for removals that need
    them. Raises DataError unless forget holds distinct ids and leaves at least one point, and ShapeError if
    start has another shape than the weights.
    """

    problem: ConvexProblem
    start: Theta
    forget: Indices
    seed: int = 0
    oracle: Theta | None = None
    forecast: ConvexOutputs | None = None

    def __post_init__(self) -> None:
        n_points = self.problem.n_points
        if len(self.forget) == 0:
            raise DataError("the forget set is empty; name at least one point to forget")
        if (
            len(np.unique(self.forget)) != len(self.forget)
            or self.forget.min() < 0
            or self.forget.max() >= n_points
        ):
            raise DataError(
                f"forget must hold distinct ids of 0 to {n_points - 1}; got {self.forget[:10].tolist()}"
            )
        if len(self.forget) == n_points:
            raise DataError(
                f"the forget set is all {n_points} points, which leaves nothing to learn from; keep at least "
                "one"
            )
        if self.start.shape != self.problem.shape:
            raise ShapeError(
                f"start has shape {self.start.shape}; the weights of this problem have shape "
                f"{self.problem.shape}"
            )

    @cached_property
    def retain(self) -> Indices:
        """The ids that stay, sorted."""
        return np.setdiff1d(np.arange(self.problem.n_points), self.forget)

    @cached_property
    def retained(self) -> ConvexProblem:
        """The problem on the points that stay."""
        return self.problem.restricted(self.retain)

    @cached_property
    def forgotten(self) -> ConvexProblem:
        """The problem on the points that leave."""
        return self.problem.restricted(self.forget)

    @cached_property
    def lost_gradient(self) -> Theta:
        """The gradient of the losses of the forgotten points, at the start.

        The gradient of the whole objective is 0 there, so the retained objective has the negative gradient.
        """
        return self.forgotten.loss_gradient(self.start)

    @cached_property
    def hessian(self) -> np.ndarray:
        """The Hessian of all points at the start.

        It can be prepared before any request, so it is not part of the cost of a removal.
        """
        return self.problem.hessian(self.start)

    @cached_property
    def _factor(self) -> tuple[np.ndarray, bool]:
        return cho_factor(self.hessian)

    def solve(
        self, right: Float[np.ndarray, "n_parameters *columns"]
    ) -> Float[np.ndarray, "n_parameters *columns"]:
        """Return hessian⁻¹ right; the Cholesky factor of the Hessian is computed only once."""
        return cho_solve(self._factor, right)

    def wanted_oracle(self) -> Theta:
        """Return the oracle; raises ConfigError if there is none."""
        if self.oracle is None:
            raise ConfigError(
                "this removal matches the retrained minimiser, which the request does not contain; give "
                "`oracle`"
            )
        return self.oracle

    def wanted_forecast(self) -> ConvexOutputs:
        """Return the forecast.

        Raises ConfigError if there is none, or ShapeError if its shape is not (n_points, n_columns).
        """
        if self.forecast is None:
            raise ConfigError(
                "this removal matches outputs predicted by a datamodel, which the request does not contain; "
                "give `forecast`"
            )
        wanted = (self.problem.n_points, self.problem.n_columns)
        if self.forecast.shape != wanted:
            raise ShapeError(
                f"forecast has shape {self.forecast.shape}; expected {wanted}, the outputs of all points"
            )
        return self.forecast


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """The weights during a removal and their cost, with one record for the start and each recorded step.

    thetas (n_records, n_features, n_columns) holds the weights. steps (n_records,) counts the steps up to
    each record. evaluations (n_records,) counts the gradients of single points up to each record. The Hessian
    of a point counts as one gradient for each parameter, because it takes that many times the arithmetic.
    """

    thetas: Float[np.ndarray, "n_records n_features n_columns"]
    steps: Int[np.ndarray, " n_records"]
    evaluations: Int[np.ndarray, " n_records"]

    @property
    def last(self) -> Theta:
        """The result of the removal."""
        return self.thetas[-1]

    def squared_distances(self, target: Theta) -> Float[np.ndarray, " n_records"]:
        """Return ‖θ_t − target‖² for every record."""
        return np.square(self.thetas - target).sum(axis=(1, 2))


def one_step(request: RemovalRequest, theta: Theta, evaluations: int) -> Trajectory:
    """Return the trajectory of a removal with a single step."""
    return Trajectory(
        thetas=np.stack([request.start, theta]), steps=np.arange(2), evaluations=np.array([0, evaluations])
    )


class Removal(Plugin):
    """Moves the minimiser on all points towards the minimiser without the forget set.

    `needs` names the optional fields of a request that the removal uses: `oracle` or `forecast`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def remove(self, request: RemovalRequest) -> Trajectory:
        """Return the trajectory from the start.

        The request is not changed, and equal requests have equal answers.
        """
