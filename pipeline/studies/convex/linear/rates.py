"""Long-run rates of stochastic descent, by regression on the tail of R.

R of Oracle Matching (OM) falls exponentially; R of SGD on the retain set falls at most as a power of the
number of steps. At the retrained minimiser θ*, the gradient of OM is 0 on every batch. The gradient of the
ridge loss is not, so SGD needs falling step sizes to reduce this noise. Source: Georgiev et al. 2025, theorem
2.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.studies.convex.linear import theory
from pipeline.studies.convex.linear.linear_study import LinearStudy, Setting

# Number of draws over which long runs are averaged.
N_LONG_DRAWS = 10
# Schedules for SGD: step sizes η / (1 + t/t₀) with these t₀.
HALVINGS = (30.0, 100.0, 300.0, 1000.0)
# Number of steps of a long run whose R is kept, evenly spaced on a logarithmic scale.
N_SHOWN = 80
# A regression needs at least this number of steps in the tail.
FEWEST_STEPS = 20
# Range of R for the regression of OM. Below it R is rounding; above it the fast directions dominate.
TAIL = (1e-8, 1e-1)


@dataclass(frozen=True, kw_only=True)
class StepRates:
    """Rates of stochastic runs in their tails.

    E R is the mean of R over draws. matching is the factor by which one step of OM multiplies E R.
    straightness is the share of the variance of log E R that a straight line explains. Both are None if the
    run is too short. bound is the largest factor that theorem 2 allows at step_size. descent_power is p in E
    R ~ t⁻ᵖ for SGD with its best falling step sizes, fitted from step n_steps/10 on; theorem 2 says p ≤ 2.
    descent_left and matching_left are E R at the end. curves holds `step`, and E R of `om` and `gd` at these
    steps.
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
    """Return the rates of the long stochastic runs of OM and SGD.

    The schedule of SGD is the one that ends lowest in these same runs, which favours SGD. OM has the largest
    step size 10/2ᵏ that theorem 2 covers.
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
    """Return the largest step size that theorem 2 covers on every draw, and the theorem's bound.

    The bound is that of the draw for which the theorem promises the slowest fall of R.
    """
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
    """Return the slope of log R against the step, and the straightness: the share of explained variance.

    A line is fitted to the later half of the steps at which R lies in TAIL. Both values are None if too few
    steps lie there.
    """
    inside = np.flatnonzero((shares > TAIL[0]) & (shares < TAIL[1]))
    if len(inside) < FEWEST_STEPS:
        return None, None
    times = inside[len(inside) // 2 :]
    values = np.log(shares[times])
    slope, start = np.polyfit(times, values, 1)
    return float(slope), float(1 - (values - slope * times - start).var() / values.var())
