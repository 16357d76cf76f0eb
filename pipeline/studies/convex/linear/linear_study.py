"""The linear setting of the paper: its settings, its random problems, and its algorithms.

Every algorithm runs on many draws of one ridge problem, full batch and stochastic, at the step size that the
paper states and at its own best step size. Step sizes are searched on separate draws, so nothing is tuned on
reported results. Source: Georgiev et al. 2025, figure 10.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.studies.convex.linear import forecasts, linear_objectives, quadratic_descent
from pipeline.studies.convex.linear.linear_objectives import PanelObjective
from pipeline.studies.convex.linear.quadratic_descent import DistanceShares, Spectrum
from pipeline.studies.convex.linear.ridge_ensemble import PerDrawPoint, RidgeEnsemble, Thetas, draw_ridge

# Labels that users may give to examples and data sets; they are parts of keys, paths and anchors.
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
# k of the step size 10/2ᵏ.
Exponent = Annotated[int, Field(ge=0, le=60)]
Mode = Literal["full", "stochastic"]
BATCH_MODES: tuple[Mode, ...] = ("full", "stochastic")
# The forecasts of the oracle's outputs that DMM matches.
FORECASTS = ("exact", "datamodels", "influence")
# For the choice of a step size, an R below _NOTHING counts as _NOTHING, and R is compared at N_LOOKS steps
# that are evenly spaced on a logarithmic scale.
_NOTHING, N_LOOKS = 1e-10, 24

# Limit of n_draws · n_points · (n_points + n_features), about the values in memory: 16 GB in float64.
MOST_STUDY_NUMBERS = 2_000_000_000


class LinearExample(Settings):
    """One family of problems: x ~ N(0, Σ) with Σ = I, or diag(1, ½, ⅓, …) if the spectrum is decaying.

    noise_variance is the variance of the noise on the targets. penalties are the values of λ to study.
    """

    spectrum: Literal["isotropic", "decaying"] = setting(neutral="isotropic")
    noise_variance: float = setting(neutral=4.0, ge=0, le=1e12)
    penalties: tuple[float, ...] = setting(neutral=(4.0, 400.0), min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "LinearExample":
        wrong = next((penalty for penalty in self.penalties if penalty <= 0), None)
        if wrong is not None:
            raise ValueError(
                f"penalties: {wrong:g} is not above 0; without a penalty the minimiser is not unique, so "
                "there is nothing to be near to"
            )
        if len({f"{penalty:g}" for penalty in self.penalties}) < len(self.penalties):
            raise ValueError(
                f"penalties: {self.penalties} contains one number twice, at the six digits shown in a "
                "panel's name; give each once"
            )
        return self

    def eigenvalues(self, n_features: int) -> Float[np.ndarray, " n_features"]:
        """Return the eigenvalues of Σ."""
        return np.ones(n_features) if self.spectrum == "isotropic" else 1 / np.arange(1.0, n_features + 1)


class LinearStudy(Settings):
    """The settings of the linear study.

    n_tuning_draws is the number of separate draws on which step sizes are searched. n_long_steps is the
    number of steps of the long stochastic runs that measure rates of convergence. Step sizes are 10/2ᵏ:
    stated_exponent is the k that the paper states, exponents the first and the last k that are searched.
    ascents are the weights of the ascent in GDA.
    """

    n_draws: int = setting(neutral=100, ge=2, le=100_000)
    n_tuning_draws: int = setting(neutral=10, ge=1, le=100_000)
    n_points: int = setting(neutral=100, ge=3, le=100_000)
    n_features: int = setting(neutral=400, ge=1, le=1_000_000)
    n_forget: int = setting(neutral=5, ge=1, le=100_000)
    n_steps: int = setting(neutral=300, ge=10, le=1_000_000)
    n_long_steps: int = setting(neutral=6000, ge=100, le=10_000_000)
    batch_size: int = setting(neutral=5, ge=1, le=100_000)
    stated_exponent: Exponent = setting(neutral=14)
    exponents: tuple[Exponent, Exponent] = setting(neutral=(5, 20))
    ascents: tuple[Annotated[float, Field(gt=0)], ...] = setting(neutral=(0.01, 0.1, 1.0, 10.0))
    n_subset_models: int = setting(neutral=500, ge=3, le=1_000_000)
    examples: dict[Label, LinearExample] = setting(
        neutral={
            "isotropic": {},
            "decaying": {"spectrum": "decaying", "noise_variance": 0.25, "penalties": [0.25, 5.0]},
        },
        default={
            "isotropic": LinearExample(),
            "decaying": LinearExample(spectrum="decaying", noise_variance=0.25, penalties=(0.25, 5.0)),
        },
        min_length=1,
    )

    @model_validator(mode="after")
    def _check(self) -> "LinearStudy":
        n_numbers = max(self.n_draws, self.n_tuning_draws) * self.n_points * (self.n_points + self.n_features)
        if n_numbers > MOST_STUDY_NUMBERS:
            raise ValueError(
                f"n_draws, n_points and n_features make {n_numbers:,} numbers, more than "
                f"{MOST_STUDY_NUMBERS:,}; lower one of them"
            )
        n_retained = self.n_points - self.n_forget
        if n_retained < self.batch_size:
            raise ValueError(
                f"n_forget {self.n_forget} leaves {n_retained} of {self.n_points} points, fewer than "
                f"batch_size {self.batch_size}; forget fewer"
            )
        if self.exponents[0] > self.exponents[1]:
            raise ValueError(f"exponents {self.exponents} is not a range; give the smaller number first")
        if len({f"{ascent:g}" for ascent in self.ascents}) < len(self.ascents):
            raise ValueError(
                f"ascents: {self.ascents} contains one number twice, at the six digits shown in a curve's "
                "name; give each once"
            )
        return self

    @property
    def step_sizes(self) -> list[float]:
        """The step sizes that are searched, largest first."""
        first, last = self.exponents
        return [10 / 2**exponent for exponent in range(first, last + 1)]

    @property
    def stated_step(self) -> float:
        """The step size of the paper's figure."""
        return float(10 / 2**self.stated_exponent)

    def draw(self, example: LinearExample, penalty: float, purpose: str, n_draws: int) -> RidgeEnsemble:
        """Return n_draws random ridge problems.

        purpose (`report`, `tune` or `rates`) seeds them, so each purpose has its own draws.
        """
        return draw_ridge(
            n_draws=n_draws,
            n_points=self.n_points,
            spectrum=example.eigenvalues(self.n_features),
            n_forget=self.n_forget,
            noise_variance=example.noise_variance,
            penalty=penalty,
            purpose=purpose,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """Draws of a problem, and everything that the algorithms need on them.

    start is the result of training, goal the result of retraining. outputs holds forecasts of the oracle's
    outputs by name, algorithms the objective of each algorithm by name.
    """

    problems: RidgeEnsemble
    start: Thetas
    goal: Thetas
    outputs: Mapping[str, PerDrawPoint]
    algorithms: Mapping[str, PanelObjective]

    @cached_property
    def spectra(self) -> Mapping[str, Spectrum]:
        """The full-batch descent of each algorithm in closed form."""
        return {
            name: Spectrum.of(self.problems, objective, self.start, self.goal)
            for name, objective in self.algorithms.items()
        }

    def full_batch(self, name: str, step_sizes: list[float], n_steps: int) -> DistanceShares:
        """Return R of an algorithm at each full-batch step, computed step by step."""
        return quadratic_descent.full_batch(
            self.problems,
            self.algorithms[name],
            self.start,
            self.goal,
            step_sizes=step_sizes,
            n_steps=n_steps,
        )

    def stochastic(
        self, schedules: Mapping[str, Float[np.ndarray, "n_steps n_schedules"]], batch_size: int, purpose: str
    ) -> dict[str, DistanceShares]:
        """Return R of algorithms at each stochastic step, for schedules of step sizes."""
        found: dict[str, DistanceShares] = {}
        for names in self._alike(schedules):
            run = [self.algorithms[name] for name in names]
            step_sizes = np.stack([schedules[name] for name in names], axis=1)
            shares = quadratic_descent.stochastic(
                self.problems,
                run,
                self.start,
                self.goal,
                step_sizes=step_sizes,
                batch_size=batch_size,
                purpose=purpose,
            )
            found |= dict(zip(names, shares, strict=True))
        return found

    def _alike(self, names: Iterable[str]) -> list[list[str]]:
        """Return names grouped by the points that their algorithms use: all, or the retained points."""
        groups: dict[int, list[str]] = {}
        for name in names:
            groups.setdefault(self.algorithms[name].n_used, []).append(name)
        return list(groups.values())


def set_up(problems: RidgeEnsemble, study: LinearStudy, purpose: str) -> Setting:
    """Return the setting of the given draws: their minimisers, forecasts and objectives."""
    goal = problems.minimiser(problems.retained)
    oracle = problems.outputs(goal)
    outputs = {
        "exact": forecasts.exact(problems),
        "datamodels": forecasts.datamodels(
            problems, n_models=study.n_subset_models, n_dropped=study.n_forget, purpose=purpose
        ),
        "influence": forecasts.influence(problems),
    }
    algorithms = {"gd": linear_objectives.descent(problems)}
    algorithms |= {
        f"gda_{ascent:g}": linear_objectives.descent_and_ascent(problems, ascent) for ascent in study.ascents
    }
    algorithms |= {
        "om": linear_objectives.matching(problems, oracle),
        "omrs": linear_objectives.matching(problems, oracle, retained_only=True),
    }
    algorithms |= {f"dmm_{name}": linear_objectives.matching(problems, outputs[name]) for name in FORECASTS}
    return Setting(
        problems=problems, start=problems.minimiser(), goal=goal, outputs=outputs, algorithms=algorithms
    )


def best_steps(tuning: Setting, study: LinearStudy) -> dict[Mode, dict[str, float]]:
    """Return the best step size of each algorithm in each batch mode, searched on tuning draws.

    The best step size has the lowest mean of log R over the steps of the run.
    """
    times = np.unique(np.geomspace(1, study.n_steps, N_LOOKS).round().astype(int))
    schedule = np.tile(study.step_sizes, (study.n_steps, 1))
    seen = tuning.stochastic(dict.fromkeys(tuning.algorithms, schedule), study.batch_size, "tune")
    found: dict[Mode, dict[str, float]] = {mode: {} for mode in BATCH_MODES}
    for name in tuning.algorithms:
        full = np.stack(
            [tuning.spectra[name].shares(size, times.tolist()).mean(axis=1) for size in study.step_sizes],
            axis=1,
        )
        for mode, shares in zip(BATCH_MODES, (full, seen[name][times].mean(axis=1)), strict=True):
            found[mode][name] = study.step_sizes[
                int(np.argmin(np.log(np.maximum(shares, _NOTHING)).mean(axis=0)))
            ]
    return found
