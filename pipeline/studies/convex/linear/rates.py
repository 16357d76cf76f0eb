"""How fast stochastic descent goes in the long run, by regression on its tail.

Matching falls exponentially, the retain set's own loss at most as a power.

At θ* the oracle's gradients agree on every batch, those of the ridge loss do not: their noise must be stepped
down. Source: Georgiev et al. 2025, theorem 2.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.studies.convex.linear import theory
from pipeline.studies.convex.linear.linear_study import LinearStudy, Setting

# Draws that the long runs are the mean of.
N_LONG_DRAWS = 10
# Schedules that SGD may choose from: step sizes η / (1 + t/t₀) with these t₀.
HALVINGS = (30.0, 100.0, 300.0, 1000.0)
# Steps of a long run that are kept, evenly spaced in their logarithm.
N_SHOWN = 80
# Steps in the tail without which no line is drawn through it.
FEWEST_STEPS = 20
# R between which matching is regressed: below, rounding; above, what the fast directions hide.
TAIL = (1e-8, 1e-1)


@dataclass(frozen=True, kw_only=True)
class StepRates:
    """Tails of stochastic runs.

    matching: what E R of OM is multiplied by in a step; straightness: R² of log E R against the step; both
    None where the run was too short to tell. bound: the factor that theorem 2 promises at this step size.
    descent_power: p of E R ~ t⁻ᵖ of SGD with its best falling steps, over the last decade of steps; theorem 2
    says p ≤ 2. descent_left and matching_left: E R at the end. curves: `step`, and E R of `om` and `gd`
    there.
    """

    n_steps: int
    step_size: float
    matching: float | None
    bound: float
    straightness: float | None
    matching_left: float
    descent_power: float
    descent_left: float
    curves: Mapping[str, list[float]]

    def to_json(self) -> dict[str, Any]:
        """Return everything by name."""
        return asdict(self)


def measure_rates(setting: Setting, study: LinearStudy) -> StepRates:
    """Return the rates of a setting.

    SGD's schedule is the one that ends lowest of these very runs, which favours SGD; matching gets the
    largest 10/2ᵏ that theorem 2 covers.
    """
    n_steps = study.n_long_steps
    step_size, bound = _covered(setting, study)
    schedules = {"om": np.full((n_steps, 1), step_size), "gd": _falling(study.step_sizes[::2], n_steps)}
    runs = {
        name: shares.mean(axis=1)
        for name, shares in setting.stochastic(schedules, study.batch_size, "rates").items()
    }
    matching, tried = runs["om"][:, 0], runs["gd"]
    chosen = tried[:, int(np.argmin(tried[-1]))]
    slope, straightness = _tail(matching)
    times = np.unique(np.geomspace(n_steps / 10, n_steps, 40).astype(int))
    power = -np.polyfit(np.log(times), np.log(chosen[times]), 1)[0]
    shown = np.unique(np.geomspace(1, n_steps, N_SHOWN).astype(int))
    return StepRates(
        n_steps=n_steps,
        step_size=step_size,
        matching=None if slope is None else float(np.exp(slope)),
        bound=bound,
        straightness=straightness,
        matching_left=float(matching[-1]),
        descent_power=float(power),
        descent_left=float(chosen[-1]),
        curves={
            "step": shown.astype(float).tolist(),
            "om": matching[shown].tolist(),
            "gd": chosen[shown].tolist(),
        },
    )


def _covered(setting: Setting, study: LinearStudy) -> tuple[float, float]:
    """Return the largest step size that theorem 2 covers on every draw, and the factor it promises on the slowest."""
    step_size = study.step_sizes[0]
    while np.isnan(
        rate := theory.theorem_2_rate(setting.problems, step_size=step_size, batch_size=study.batch_size)
    ).any():
        step_size /= 2
    return step_size, float(rate.max())


def _falling(step_sizes: list[float], n_steps: int) -> Float[np.ndarray, "n_steps n_schedules"]:
    times = np.arange(n_steps)[:, None]
    return np.concatenate([np.asarray(step_sizes) / (1 + times / halving) for halving in HALVINGS], axis=1)


def _tail(shares: Float[np.ndarray, " n_times"]) -> tuple[float | None, float | None]:
    """Return slope of log R against the step where R lies in TAIL, the later half of it, and how much of its variance a straight line explains.

    None for both where too few steps lie there to tell.
    """
    inside = np.flatnonzero((shares > TAIL[0]) & (shares < TAIL[1]))
    if len(inside) < FEWEST_STEPS:
        return None, None
    times = inside[len(inside) // 2 :]
    values = np.log(shares[times])
    slope, start = np.polyfit(times, values, 1)
    return float(slope), float(1 - (values - slope * times - start).var() / values.var())
