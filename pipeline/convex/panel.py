"""What the linear study finds for one example and penalty: curves of every algorithm, theory beside them, and how many steps each takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.convex import forecasts, theory
from pipeline.convex.linear import FORECASTS, LinearExample, LinearStudy, Setting, best_steps, set_up
from pipeline.convex.rates import N_LONG_DRAWS, measure_rates
from pipeline.core.errors import ConfigError

# Shares of the distance to which steps are counted.
TARGETS = (1e-2, 1e-6)
# Full-batch steps beyond which nobody would wait.
MOST_STEPS = 10**6

Curve = Float[np.ndarray, " n_steps_and_start"]
PerDraw = Float[np.ndarray, "n_steps_and_start n_draws"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Curves by name, each R at steps 0 … n_steps, and findings, JSON-ready.

    Names are `mode.algorithm.choice.statistic`: choice `stated` or `best` step size, statistic `mean`, `sd` over draws, or `theory`; and
    `outside.gd`, `outside.om`: the part of R that lies outside what the retained points span.
    """

    curves: Mapping[str, Curve]
    findings: Mapping[str, Any]


def study_panel(study: LinearStudy, example: LinearExample, penalty: float) -> Panel:
    """Return everything about one example at one penalty; raises ConfigError if nothing is forgotten by any step, such as without noise and features."""
    problems = study.draw(example, penalty, "report", study.n_draws)
    setting = set_up(problems, study, "report")
    if not ((setting.start - setting.goal) ** 2).sum(axis=1).all():
        raise ConfigError(f"at penalty {penalty:g} forgetting moves a minimiser nowhere, so there is no distance to measure; use noisier or fewer targets")
    best = best_steps(set_up(study.draw(example, penalty, "tune", study.n_tuning_draws), study, "tune"), study)
    iterated = {name: setting.full_batch(name, study.stated_step, study.n_steps) for name in setting.algorithms}
    theirs, deviation = _theory(setting, study, iterated)
    curves = _full_batch(setting, study, iterated, best["full"]) | _stochastic(setting, study, best["stochastic"]) | theirs
    findings = {
        "penalty": penalty,
        "n_used": {name: objective.n_used for name, objective in setting.algorithms.items()},
        "stated_step": study.stated_step,
        "best_step": best,
        "steps_to": {name: _steps_to(setting, name, best["full"][name]) for name in setting.algorithms},
        "deviation_from_theorem_1": deviation,
        "plateau": {name: _plateau(setting, name, best["full"][f"dmm_{name}"]) for name in FORECASTS},
        "mean_leverage": float(forecasts.Dual.of(problems).leverages.mean()),
        "rates": _rates(study, example, penalty) if penalty == max(example.penalties) else None,
    }
    return Panel(curves=curves, findings=findings)


def _full_batch(setting: Setting, study: LinearStudy, iterated: Mapping[str, PerDraw], best: Mapping[str, float]) -> dict[str, Curve]:
    """Return the curves of full-batch descent: step by step at the stated size, by the closed form at the best one."""
    found: dict[str, Curve] = {}
    for name, shares in iterated.items():
        closed = setting.spectra[name].shares(best[name], range(study.n_steps + 1))
        found |= _named(f"full.{name}.stated", shares) | _named(f"full.{name}.best", closed)
    return found


def _stochastic(setting: Setting, study: LinearStudy, best: Mapping[str, float]) -> dict[str, Curve]:
    schedules = {name: np.tile([study.stated_step, size], (study.n_steps, 1)) for name, size in best.items()}
    found: dict[str, Curve] = {}
    for name, shares in setting.stochastic(schedules, study.batch_size, "report").items():
        found |= _named(f"stochastic.{name}.stated", shares[:, :, 0]) | _named(f"stochastic.{name}.best", shares[:, :, 1])
    return found


def _named(name: str, shares: PerDraw) -> dict[str, Curve]:
    return {f"{name}.mean": shares.mean(axis=1), f"{name}.sd": shares.std(axis=1, ddof=1)}


def _theory(setting: Setting, study: LinearStudy, iterated: Mapping[str, PerDraw]) -> tuple[dict[str, Curve], float]:
    """Return what theorem 1 says at the stated step size, the part of it outside the retained span, and how far it is from the iterates at most.

    The deviation is that of ‖θ_t − θ*‖ in units of ‖θ_full − θ*‖, over all draws and steps.
    """
    times, worst = range(study.n_steps + 1), 0.0
    closed = {"gd": theory.theorem_1_descent, "om": theory.theorem_1_matching}
    found: dict[str, Curve] = {}
    length = ((setting.start - setting.goal) ** 2).sum(axis=1)
    for name, formula in closed.items():
        differences = formula(setting.problems, setting.start, setting.goal, step_size=study.stated_step, times=times)
        shares = theory.shares_of(differences, setting.start, setting.goal)
        worst = max(worst, float(np.abs(np.sqrt(shares) - np.sqrt(iterated[name])).max()))
        found[f"full.{name}.stated.theory"] = shares.mean(axis=1)
        found[f"outside.{name}"] = (theory.outside(setting.problems, differences) / length).mean(axis=1)
    return found, worst


def _rates(study: LinearStudy, example: LinearExample, penalty: float) -> dict[str, Any]:
    """Return the rates of long runs: only at the largest penalty do a few thousand steps suffice to see the tail of descent."""
    few = study.draw(example, penalty, "rates", min(N_LONG_DRAWS, study.n_draws))
    return measure_rates(set_up(few, study, "rates"), study).to_json()


def _steps_to(setting: Setting, name: str, step_size: float) -> dict[str, int | None]:
    spectrum = setting.spectra[name]
    return {f"{target:g}": spectrum.steps_to(target, step_size=step_size, most=MOST_STEPS) for target in TARGETS}


def _plateau(setting: Setting, name: str, step_size: float) -> dict[str, Any]:
    """Return where matching a forecast ends, the full-batch steps to twice that, and the relative squared error of the forecast itself."""
    oracle, found = setting.outputs["exact"], setting.outputs[name]
    left = float(forecasts.plateau(setting.problems, found, setting.start, setting.goal).mean())
    before = setting.problems.outputs(setting.start)
    error = float((((found - oracle) ** 2).sum(axis=1) / ((before - oracle) ** 2).sum(axis=1)).mean())
    # Exact algebra has no plateau but rounding: there is no twice that to reach.
    steps = setting.spectra[f"dmm_{name}"].steps_to(2 * left, step_size=step_size, most=MOST_STEPS) if left > 1e-12 else None
    return {"share": left, "steps_to_twice": steps, "output_error": error}
