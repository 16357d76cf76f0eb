"""Full-batch and stochastic descent of quadratics, for all draws and step sizes at once.

Results are R, the share of the squared distance that is left. Iterates are computed step by step; a
`Spectrum` gives R after any number of full-batch steps in closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.core import seeds
from pipeline.studies.convex.linear.linear_objectives import PanelObjective
from pipeline.studies.convex.linear.ridge_ensemble import RidgeEnsemble, Thetas

# R of a diverged run; it keeps means and logarithms finite.
DIVERGED = 1e12

# A direction with less than this share of the largest curvature counts as flat: the objective ignores it.
FLAT = 1e-12

DistanceShares = Float[np.ndarray, "n_steps_and_start n_draws n_step_sizes"]
Iterates = Float[np.ndarray, "n_draws n_span n_columns"]


def full_batch(
    problems: RidgeEnsemble,
    objective: PanelObjective,
    start: Thetas,
    goal: Thetas,
    *,
    step_sizes: Sequence[float],
    n_steps: int,
) -> DistanceShares:
    """Return R_t = ‖θ_t − goal‖² / ‖start − goal‖² for each step, draw and step size.

    t is 0 … n_steps. R is at most DIVERGED.
    """
    hessian, moments = objective.quadratic(problems)
    sizes, thetas = np.asarray(step_sizes, float), np.repeat(start[:, :, None], len(step_sizes), axis=2)
    shares = [_share(thetas, start, goal)]
    for _ in range(n_steps):
        with np.errstate(over="ignore", invalid="ignore"):
            thetas = thetas - sizes * (hessian @ thetas - moments[:, :, None])
        shares.append(_share(thetas, start, goal))
    return np.stack(shares)


def stochastic(
    problems: RidgeEnsemble,
    objectives: Sequence[PanelObjective],
    start: Thetas,
    goal: Thetas,
    *,
    step_sizes: Float[np.ndarray, "n_steps n_objectives n_step_sizes"],
    batch_size: int,
    purpose: str,
) -> list[DistanceShares]:
    """Return R_t of each objective as full_batch does, after stochastic steps.

    Step t has the size step_sizes[t] and uses batch_size random points among those whose weight is not 0. It
    descends the sum over the batch plus the share batch_size / n_used of the ridge term, so on average a step
    is this share of a full-batch step. All objectives use the same batches, so the same points must have a
    weight in all of them. Running them together costs little more than running one.
    """
    rng = seeds.generator("convex", "batches", purpose)
    used = np.stack([np.flatnonzero(weights) for weights in objectives[0].weights])
    n_sizes = step_sizes.shape[2]
    weights = np.repeat(np.stack([objective.weights for objective in objectives], axis=2), n_sizes, axis=2)
    targets = np.repeat(np.stack([objective.targets for objective in objectives], axis=2), n_sizes, axis=2)
    ridge = np.repeat(
        [2 * objective.penalty * batch_size / objective.n_used for objective in objectives], n_sizes
    )
    draws, thetas = np.arange(problems.n_draws)[:, None], np.repeat(start[:, :, None], len(ridge), axis=2)
    shares = [_share(thetas, start, goal)]
    for sizes in step_sizes.reshape(len(step_sizes), -1):
        batch = _batches(rng, used, batch_size)
        features = problems.features[draws, batch]
        with np.errstate(over="ignore", invalid="ignore"):
            errors = (features @ thetas - targets[draws, batch]) * weights[draws, batch]
            thetas = thetas - sizes * (2 * features.transpose(0, 2, 1) @ errors + ridge * thetas)
        shares.append(_share(thetas, start, goal))
    every = np.stack(shares)
    return [every[:, :, number * n_sizes : (number + 1) * n_sizes] for number in range(len(objectives))]


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum:
    """The full-batch descent of each draw in the eigenbasis of its Hessian.

    All arrays are (n_draws, n_span), except length (n_draws,). bends holds the eigenvalues. first is the
    vector from the end of the descent to its start, rest the vector from the goal to the end. length is the
    squared distance from goal to start.
    """

    bends: Float[np.ndarray, "n_draws n_span"]
    first: Float[np.ndarray, "n_draws n_span"]
    rest: Float[np.ndarray, "n_draws n_span"]
    length: Float[np.ndarray, " n_draws"]

    @classmethod
    def of(
        cls, problems: RidgeEnsemble, objective: PanelObjective, start: Thetas, goal: Thetas
    ) -> "Spectrum":
        """Return the spectrum of an objective; its descent begins at start and would best end at goal."""
        hessian, moments = objective.quadratic(problems)
        bends, vectors = np.linalg.eigh(hessian)
        begin, wanted, pull = (np.einsum("dsk,ds->dk", vectors, each) for each in (start, goal, moments))
        known = np.abs(bends) > FLAT * np.abs(bends).max(axis=1, keepdims=True)
        end = np.where(known, pull / np.where(known, bends, 1.0), begin)
        return cls(
            bends=np.where(known, bends, 0.0),
            first=begin - end,
            rest=end - wanted,
            length=((start - goal) ** 2).sum(axis=1),
        )

    def shares(self, step_size: float, times: Sequence[int]) -> Float[np.ndarray, "n_times n_draws"]:
        """Return R, the share of the squared distance that is left, after each number of steps in times.

        Values above DIVERGED, and values that are not a number, are set to DIVERGED.
        """
        shrinks = 1 - step_size * self.bends
        with np.errstate(over="ignore", invalid="ignore"):
            left = (
                np.stack([((shrinks**time * self.first + self.rest) ** 2).sum(axis=1) for time in times])
                / self.length
            )
        return np.nan_to_num(np.minimum(left, DIVERGED), nan=DIVERGED)

    def steps_to(self, share: float, *, step_size: float, most: int) -> int | None:
        """Return the first of up to `most` steps at which the mean of R over draws is at most share.

        The result is None if there is no such step. The number of steps is doubled until R is low enough, and
        then bisected. This search can miss a short dip of R.
        """

        def is_there(time: int) -> bool:
            return bool(self.shares(step_size, [time]).mean() <= share)

        above, below = 0, 1
        while not is_there(below):
            above, below = below, 2 * below
            if above >= most:
                return None
        while below - above > 1:
            middle = (above + below) // 2
            above, below = (above, middle) if is_there(middle) else (middle, below)
        return below if below <= most else None


def _share(thetas: Iterates, start: Thetas, goal: Thetas) -> Float[np.ndarray, "n_draws n_columns"]:
    with np.errstate(over="ignore", invalid="ignore"):
        away = thetas - goal[:, :, None]
        left = np.einsum("dsk,dsk->dk", away, away)
        found = left / ((start - goal) ** 2).sum(axis=1)[:, None]
    return np.nan_to_num(np.minimum(found, DIVERGED), nan=DIVERGED)


def _batches(
    rng: np.random.Generator, used: Int[np.ndarray, "n_draws n_used"], batch_size: int
) -> Int[np.ndarray, "n_draws batch_size"]:
    """Return batch_size different points among `used` for each draw; every set is equally likely."""
    places = np.argpartition(rng.random(used.shape), batch_size - 1, axis=1)[:, :batch_size]
    return np.take_along_axis(used, places, axis=1)
