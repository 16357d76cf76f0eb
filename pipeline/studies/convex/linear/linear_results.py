"""The results of the linear study for one example and penalty.

They are the curves of R for every algorithm and by theory, and the number of steps to each target. R is the
share of the squared distance to the retrained minimiser that is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.core.errors import ConfigError
from pipeline.studies.convex.linear import forecasts, theory
from pipeline.studies.convex.linear.earlier_methods import earlier_methods
from pipeline.studies.convex.linear.linear_study import (
    BATCH_MODES,
    FORECASTS,
    LinearExample,
    LinearStudy,
    Mode,
    Setting,
    best_steps,
    set_up,
)
from pipeline.studies.convex.linear.quadratic_descent import DistanceShares
from pipeline.studies.convex.linear.rates import N_LONG_DRAWS, measure_rates

# The values of R to which steps are counted.
LINEAR_TARGETS = (1e-2, 1e-6)
# Each curve is computed at two step sizes: the one that the paper states, and the best one.
CHOICES = ("stated", "best")
# The largest number of full-batch steps that is searched.
MOST_LINEAR_STEPS = 10**6

LinearCurve = Float[np.ndarray, " n_steps_and_start"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearResult:
    """The curves by name, each with R at steps 0 … n_steps, and findings that are ready for JSON.

    Names of curves are `mode.algorithm.choice.statistic`. choice is the `stated` or the `best` step size,
    statistic is `mean` or `sd` over draws. Full-batch `gd` and `om` also have `theory`, the mean by theorem
    1, and `outside`, the part of R that lies outside the span of the retained points.
    """

    curves: Mapping[str, LinearCurve]
    findings: Mapping[str, Any]


def study_linear(study: LinearStudy, example: LinearExample, penalty: float) -> LinearResult:
    """Return the results for one example at one penalty.

    Raises ConfigError if forgetting does not move the minimiser of a draw. This happens if the targets have
    no noise and the model fits them exactly, or if a very large penalty makes all weights 0.
    """
    problems = study.draw(example, penalty, "report", study.n_draws)
    setting = set_up(problems, study, "report")
    if not ((setting.start - setting.goal) ** 2).sum(axis=1).all():
        raise ConfigError(
            f"at penalty {penalty:g} forgetting does not move the minimiser, so there is no distance to "
            "measure; raise noise_variance if it is 0, or else lower this penalty"
        )
    best = best_steps(
        set_up(study.draw(example, penalty, "tune", study.n_tuning_draws), study, "tune"), study
    )
    chosen = {
        mode: {name: [study.stated_step, size] for name, size in best[mode].items()} for mode in BATCH_MODES
    }
    full = {name: setting.full_batch(name, sizes, study.n_steps) for name, sizes in chosen["full"].items()}
    schedules = {name: np.tile(sizes, (study.n_steps, 1)) for name, sizes in chosen["stochastic"].items()}
    theirs, deviation = _theory(setting, chosen["full"], full)
    curves = (
        _named("full", full)
        | _named("stochastic", setting.stochastic(schedules, study.batch_size, "report"))
        | theirs
    )
    findings = {
        "penalty": penalty,
        "n_used": {name: objective.n_used for name, objective in setting.algorithms.items()},
        "stated_step": study.stated_step,
        "best_step": best,
        "steps_to": {
            name: _steps_to(setting, name, best["full"][name], curves[f"full.{name}.best.mean"])
            for name in setting.algorithms
        },
        "deviation_from_theorem_1": deviation,
        "plateau": {name: _plateau(setting, name, best["full"][f"dmm_{name}"]) for name in FORECASTS},
        "earlier": earlier_methods(problems, study.n_features, study.n_steps),
        "mean_leverage": float(forecasts.Dual.of(problems).leverages.mean()),
        "rates": _rates(study, example, penalty) if penalty == max(example.penalties) else None,
    }
    return LinearResult(curves=curves, findings=findings)


def _named(mode: Mode, found: Mapping[str, DistanceShares]) -> dict[str, LinearCurve]:
    """Return the mean and standard deviation over draws of each algorithm at both step sizes."""
    curves = {}
    for name, shares in found.items():
        for number, choice in enumerate(CHOICES):
            curves[f"{mode}.{name}.{choice}.mean"] = shares[:, :, number].mean(axis=1)
            curves[f"{mode}.{name}.{choice}.sd"] = shares[:, :, number].std(axis=1, ddof=1)
    return curves


def _theory(
    setting: Setting, chosen: Mapping[str, list[float]], iterated: Mapping[str, DistanceShares]
) -> tuple[dict[str, LinearCurve], float]:
    """Return the curves of theorem 1 at both step sizes, and their largest deviation from the iterates.

    The curves include the part outside the span of the retained points. The deviation is the largest
    difference in ‖θ_t − θ*‖ / ‖θ_full − θ*‖ over all draws and steps.
    """
    closed = {"gd": theory.theorem_1_descent, "om": theory.theorem_1_matching}
    found: dict[str, LinearCurve] = {}
    worst, length = 0.0, ((setting.start - setting.goal) ** 2).sum(axis=1)
    for name, formula in closed.items():
        for number, choice in enumerate(CHOICES):
            shares = iterated[name][:, :, number]
            differences = formula(
                setting.problems,
                setting.start,
                setting.goal,
                step_size=chosen[name][number],
                times=range(len(shares)),
            )
            foretold = theory.shares_of(differences, setting.start, setting.goal)
            worst = max(worst, float(np.abs(np.sqrt(foretold) - np.sqrt(shares)).max()))
            found[f"full.{name}.{choice}.theory"] = foretold.mean(axis=1)
            found[f"full.{name}.{choice}.outside"] = (
                theory.outside(setting.problems, differences) / length
            ).mean(axis=1)
    return found, worst


def _rates(study: LinearStudy, example: LinearExample, penalty: float) -> dict[str, Any]:
    """Return the rates of long stochastic runs.

    study_linear calls this only for the largest penalty, where a few thousand steps suffice to see the tail
    of descent.
    """
    few = study.draw(example, penalty, "rates", min(N_LONG_DRAWS, study.n_draws))
    return measure_rates(set_up(few, study, "rates"), study).to_json()


def _steps_to(setting: Setting, name: str, step_size: float, taken: LinearCurve) -> dict[str, int | None]:
    """Return the first step at which the mean of R is at or below each target, or None if there is none.

    `taken`, R at the computed steps, is searched first, because there no short dip is missed. If it does not
    reach the target, the closed form is searched up to MOST_LINEAR_STEPS.
    """
    first = {target: int(np.argmax(taken <= target)) for target in LINEAR_TARGETS}
    return {
        f"{target:g}": first[target]
        or setting.spectra[name].steps_to(target, step_size=step_size, most=MOST_LINEAR_STEPS)
        for target in LINEAR_TARGETS
    }


def _plateau(setting: Setting, name: str, step_size: float) -> dict[str, Any]:
    """Return R at the end of matching a forecast, the full-batch steps to twice this R, and an error.

    The error is the squared error of the forecast divided by the squared change of outputs by retraining.
    """
    oracle, found = setting.outputs["exact"], setting.outputs[name]
    left = float(forecasts.plateau(setting.problems, found, setting.start, setting.goal).mean())
    before = setting.problems.outputs(setting.start)
    error = float((((found - oracle) ** 2).sum(axis=1) / ((before - oracle) ** 2).sum(axis=1)).mean())
    # An exact forecast ends at rounding errors, so there is no plateau to reach.
    steps = (
        setting.spectra[f"dmm_{name}"].steps_to(2 * left, step_size=step_size, most=MOST_LINEAR_STEPS)
        if left > 1e-12
        else None
    )
    return {"share": left, "steps_to_twice": steps, "output_error": error}
