"""Tests of the guarantees of certified removal and descent-to-delete against the strongest attack.

Each method runs within its assumptions, and with one assumption violated on purpose. Both methods give (ε, δ)
only if features are as short as the constants assume, no more points leave at once than the noise is for, and
training has converged as far as the proof requires.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices
from pipeline.core.errors import ConfigError
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.studies.convex.guarantees.attack import (
    AttackScores,
    AttackVerdict,
    attack_verdict,
    gaussian_scores,
    roc,
)
from pipeline.studies.convex.guarantees.certificates import (
    Promise,
    descent_distance,
    descent_noise,
    minimiser_shift,
    newton_residual,
    objective_noise,
    residual_bound,
    residual_budget,
    training_steps,
    worst_residual,
)
from pipeline.studies.convex.guarantees.perturbed import Perturbed
from pipeline.studies.convex.problems.constants import Constants, constants_of, unit_norm
from pipeline.studies.convex.problems.losses import LogisticProblem
from pipeline.studies.convex.problems.problem import ConvexProblem, Theta
from pipeline.studies.convex.removals.base import RemovalRequest
from pipeline.studies.convex.removals.newton import Newton

# The gradient residual varies with the noise in the objective. So the noise is made large enough to hide this
# multiple of the residual that was computed without noise.
SLACK = 1.25
# Number of false positive rates at which the attack is evaluated.
N_RATES = 200


class GuaranteeSettings(Settings):
    """The promise (ε, δ), and the sizes of its tests.

    Each test attacks n_draws unlearned and n_draws retrained models. Descent-to-delete takes n_steps steps
    for each request; within its assumptions n_requests points leave one after the other. Tests that violate
    an assumption let n_many points leave at once, train for only n_steps_short steps, or scale the features
    so that the longest point has the length `longest` instead of 1. Digits whose pixels go from 0 to 16 have
    about the default length.
    """

    epsilon: float = setting(neutral=1.0, gt=0, le=1)
    delta: float = setting(neutral=1e-3, gt=0, lt=1)
    penalty: float = setting(neutral=10.0, gt=0, le=1e9)
    longest: float = setting(neutral=36.0, gt=1, le=1e6)
    n_draws: int = setting(neutral=10_000, ge=100, le=10_000_000)
    n_many: int = setting(neutral=15, ge=2, le=100_000)
    n_requests: int = setting(neutral=20, ge=1, le=100_000)
    n_steps: int = setting(neutral=5, ge=1, le=100_000)
    n_steps_short: int = setting(neutral=2, ge=1, le=100_000)
    seed: int = setting(neutral=0)

    @property
    def promise(self) -> Promise:
        """The promise of both methods."""
        return Promise(epsilon=self.epsilon, delta=self.delta)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One method in one situation: TPR at each FPR (n_rates,) of the strongest attack, and the verdict.

    sigma is the standard deviation of the noise. assumed is the largest difference between an unlearned and a
    retrained model that this noise hides, and actual is the largest difference that occurred. The difference
    is one of gradients for certified removal, and one of weights for descent-to-delete. holds is true if the
    assumptions hold.
    """

    method: str
    situation: str
    holds: bool
    sigma: float
    assumed: float
    actual: float
    fpr: Float[np.ndarray, " n_rates"]
    tpr: Float[np.ndarray, " n_rates"]
    verdict: AttackVerdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One problem at two scales of its features, and the settings of the tests.

    In scaled the longest point has the length 1, in raw the length `longest`. hardest holds all ids in
    decreasing order of the loss.
    """

    raw: LogisticProblem
    scaled: LogisticProblem
    hardest: Indices
    settings: GuaranteeSettings

    def case(self, scores: tuple[AttackScores, AttackScores], **known: Any) -> Case:
        """Return the case for scores of unlearned and retrained models; known holds its other fields."""
        rates = np.geomspace(1 / self.settings.n_draws, 1, N_RATES)
        found: dict[str, Any] = {
            "fpr": rates,
            "tpr": roc(*scores, rates),
            "verdict": attack_verdict(*scores, self.settings.promise),
        }
        # The assumptions do not hold if the difference is larger than the noise hides.
        return Case(**known | {"holds": known["holds"] and known["actual"] <= known["assumed"]}, **found)


def guarantees(problem: LogisticProblem, settings: GuaranteeSettings) -> tuple[Case, ...]:
    """Return a case for each method in each of its situations, on a binary problem.

    settings replace the penalty of the problem and the scale of its features. Raises ConfigError unless
    n_many and n_requests are below the number of points.
    """
    if max(settings.n_many, settings.n_requests) >= problem.n_points:
        raise ConfigError(
            f"n_many is {settings.n_many} and n_requests is {settings.n_requests}, but the two classes have "
            f"only {problem.n_points} points and some must remain; set both below {problem.n_points}"
        )
    scaled = replace(problem, penalty=settings.penalty, features=unit_norm(problem.features))
    raw = replace(scaled, features=settings.longest * scaled.features)
    losses = scaled.losses(scaled.outputs(scaled.minimise()))
    trial = Trial(raw=raw, scaled=scaled, hardest=np.argsort(-losses), settings=settings)
    return *_certified(trial), *_descents(trial)


def _certified(trial: Trial) -> Iterator[Case]:
    settings, promise = trial.settings, trial.settings.promise
    worst, bound, largest = _riskiest(trial.scaled)
    exact = objective_noise(SLACK * bound, promise)
    careless = objective_noise(worst_residual(trial.scaled, constants_of(trial.scaled), 1), promise)
    situations = [
        ("one point leaves, as assumed", True, trial.scaled, np.array([worst]), exact),
        (
            "one point leaves, noise for its residual itself",
            True,
            trial.scaled,
            np.array([largest[0]]),
            objective_noise(SLACK * largest[1], promise),
        ),
        (
            f"{settings.n_many} points leave, noise for one",
            False,
            trial.scaled,
            trial.hardest[: settings.n_many],
            exact,
        ),
        (
            f"features up to {settings.longest:g} long, noise for 1",
            False,
            trial.raw,
            trial.hardest[:1],
            careless,
        ),
    ]
    for situation, holds, problem, forget, sigma in situations:
        draws = Perturbed(
            request=RemovalRequest(problem=problem, start=problem.minimise(), forget=forget), sigma=sigma
        )
        actual, scores = (
            float(draws.residuals(settings.n_draws, settings.seed).max()),
            draws.scores(settings.n_draws, settings.seed),
        )
        known: dict[str, Any] = {
            "situation": situation,
            "holds": holds,
            "sigma": sigma,
            "assumed": residual_budget(sigma, promise),
            "actual": actual,
        }
        yield trial.case(scores, method="certified removal", **known)


def _riskiest(problem: ConvexProblem) -> tuple[int, float, tuple[int, float]]:
    """Return the point whose removal has the largest bound on its residual, and that bound.

    The third value holds the point with the largest real residual, and this residual. Noise must not depend
    on which point will leave, so it is chosen for the worst point.
    """
    start, bounds, residuals = problem.minimise(), [], []
    for point in range(problem.n_points):
        request = RemovalRequest(problem=problem, start=start, forget=np.array([point]))
        unlearned = Newton().remove(request).last
        bounds.append(residual_bound(request.retained, unlearned - start))
        residuals.append(newton_residual(request.retained, unlearned))
    return int(np.argmax(bounds)), max(bounds), (int(np.argmax(residuals)), max(residuals))


def _descents(trial: Trial) -> Iterator[Case]:
    settings, constants = trial.settings, constants_of(trial.scaled)
    shift, contraction = minimiser_shift(constants, 1), constants.contraction
    sigma = descent_noise(contraction, settings.n_steps, shift, settings.promise)
    enough = training_steps(contraction, settings.n_steps, shift, constants.radius)
    one_by_one = [trial.hardest[number : number + 1] for number in range(settings.n_requests)]
    whole_class = [np.flatnonzero(trial.scaled.labels == 1)]
    situations = [
        (
            f"{settings.n_requests} points leave one by one, as assumed",
            True,
            trial.scaled,
            one_by_one,
            enough,
        ),
        # The removal of only a hundred points does not break the promise: the noise is for the direction in
        # which descent is slowest, and few points change the model in that direction.
        (
            f"a class of {len(whole_class[0])} leaves at once, noise for one point",
            False,
            trial.scaled,
            whole_class,
            enough,
        ),
        (
            f"{settings.n_steps_short} steps of training where {enough} are assumed",
            False,
            trial.scaled,
            one_by_one[:1],
            settings.n_steps_short,
        ),
        (
            f"features up to {settings.longest:g} long, steps and noise for 1",
            False,
            trial.raw,
            one_by_one[:1],
            enough,
        ),
    ]
    for situation, holds, problem, requests, n_training in situations:
        actual, assumed = (
            _apart(problem, constants, requests, n_training, settings.n_steps),
            2 * descent_distance(contraction, settings.n_steps, shift),
        )
        known: dict[str, Any] = {
            "situation": situation,
            "holds": holds,
            "sigma": sigma,
            "assumed": assumed,
            "actual": actual,
        }
        yield trial.case(
            gaussian_scores(actual / sigma, settings.n_draws, settings.seed),
            method="descent-to-delete",
            **known,
        )


def _apart(
    problem: ConvexProblem, constants: Constants, requests: Sequence[Indices], n_training: int, n_steps: int
) -> float:
    """Return the distance between the secret iterate after all requests and the retrained iterate.

    The secret iterate is the weights before noise is added. Retraining leaves out all requested points. Both
    trainings start at zero.
    """
    rest, secret = (
        np.arange(problem.n_points),
        _descend(problem, np.zeros(problem.shape), constants, n_training),
    )
    for forget in requests:
        rest = np.setdiff1d(rest, forget)
        secret = _descend(problem.restricted(rest), secret, constants, n_steps)
    retrained = _descend(problem.restricted(rest), np.zeros(problem.shape), constants, n_training)
    return float(np.linalg.norm(secret - retrained))


def _descend(problem: ConvexProblem, theta: Theta, constants: Constants, n_steps: int) -> Theta:
    for _ in range(n_steps):
        theta = theta - 2 / (constants.strong_convexity + constants.smoothness) * problem.gradient(theta)
    return theta
