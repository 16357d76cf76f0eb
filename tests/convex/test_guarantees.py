"""Guarantees hold against the strongest attack where their assumptions do, and break where one is violated on purpose."""

import numpy as np
import pytest
from convex.cases import logistic, request, ridge

from pipeline.convex.guarantees import GuaranteeSettings, guarantees
from pipeline.convex.losses import Logistic
from pipeline.convex.perturbed import Perturbed, minimisers
from pipeline.convex.removals import REMOVALS
from pipeline.core.errors import ConfigError, TrainingError
from pipeline.data.digits import Digits


def three_or_eight() -> Logistic:
    """Return the digits 3 and 8 at 4×4 pixels and a constant, as long as they are stored."""
    examples = Digits().read()
    chosen = np.isin(examples.labels, (3, 8))
    pixels = 16 * examples.inputs[chosen].astype(float).reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    features = np.concatenate([pixels, np.full((len(pixels), 1), 8.0)], axis=1)
    return Logistic(features=features, penalty=1.0, labels=(examples.labels[chosen] == 8).astype(int), n_classes=2)


@pytest.fixture(scope="module")
def cases():
    return guarantees(three_or_eight(), GuaranteeSettings(n_draws=1500))


def test_both_methods_keep_their_promise_where_assumptions_hold(cases):
    kept = [case for case in cases if case.holds]
    assert {case.method for case in kept} == {"certified removal", "descent-to-delete"}
    assert not any(case.verdict.is_broken for case in kept)
    assert all(case.actual <= case.assumed for case in kept)
    assert all((case.tpr <= np.e * case.fpr + 0.02).all() for case in kept)


def test_each_broken_assumption_breaks_the_promise_in_sight(cases):
    broken = [case for case in cases if not case.holds]
    assert len(broken) == 5
    assert all(case.verdict.is_broken and case.verdict.excess > 0.3 for case in broken)
    assert all(case.actual > case.assumed for case in broken)


def draws_of(problem, forget, sigma=0.3):
    return Perturbed(request=request(problem, forget=np.array(forget)), sigma=sigma)


def test_scores_are_the_logarithms_of_ratios_of_two_densities():
    # The mean over one distribution of another's density relative to it is 1, whatever the two are.
    unlearned, retrained = draws_of(logistic(2, penalty=0.5), [3, 11, 17, 21], sigma=0.08).scores(4000, seed=0)
    assert unlearned.mean() > 0.05
    for ratios in (np.exp(-unlearned), np.exp(retrained)):
        assert abs(ratios.mean() - 1) < 4 * ratios.std() / np.sqrt(4000)


def test_models_under_noise_are_minimisers_and_their_residuals_those_of_a_newton_step():
    drawn = draws_of(logistic(2), [3])
    problem = drawn.request.problem
    noise = np.random.default_rng(1).standard_normal((3, 6))
    for model, b in zip(minimisers(problem, noise), noise, strict=True):
        assert problem.gradient(model[:, None])[:, 0] == pytest.approx(-b, abs=1e-7)
    quiet = draws_of(logistic(2), [3], sigma=1e-9)
    unlearned = REMOVALS.build({"name": "newton"}).remove(quiet.request).last
    assert quiet.residuals(2, seed=0) == pytest.approx(np.linalg.norm(quiet.request.retained.gradient(unlearned)), abs=1e-6)


def test_noise_that_no_model_survives_is_an_error():
    with pytest.raises(TrainingError, match="lower the noise"):
        minimisers(logistic(2, penalty=1e-3), 1e3 * np.ones((1, 6)))


@pytest.mark.parametrize("problem", [logistic(3), ridge()], ids=["classes", "ridge"])
def test_only_two_classes_are_vectorised(problem):
    with pytest.raises(ConfigError, match="two classes"):
        Perturbed(request=request(problem), sigma=1.0)


def test_more_points_than_there_are_cannot_leave():
    with pytest.raises(ConfigError, match="some have to stay"):
        guarantees(logistic(2), GuaranteeSettings())
