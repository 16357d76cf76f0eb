"""Guarantees hold against the strongest attack under their assumptions, and break if one is violated."""

import numpy as np
import pytest
import threadpoolctl
from small_problems import logistic, request, ridge

from pipeline.core.errors import ConfigError, DataError, TrainingError
from pipeline.data.datasets.digits import Digits
from pipeline.data.datasets.planted import Planted
from pipeline.studies.convex.guarantees.perturbed import Perturbed, minimisers
from pipeline.studies.convex.guarantees.trials import GuaranteeSettings, guarantees
from pipeline.studies.convex.guarantees.two_classes import two_classes
from pipeline.studies.convex.removals import REMOVALS


@pytest.fixture(scope="module")
def cases():
    with threadpoolctl.threadpool_limits(1):
        return guarantees(two_classes(Digits().load(), (3, 8), pool=2), GuaranteeSettings(n_draws=1000))


def test_both_methods_keep_their_promise_where_assumptions_hold(cases):
    kept = [case for case in cases if case.holds]
    assert {case.method for case in kept} == {"certified removal", "descent-to-delete"}
    assert not any(case.verdict.is_broken for case in kept)
    assert all(case.actual <= case.assumed for case in kept)
    assert all((case.tpr <= np.e * case.fpr + 0.02).all() for case in kept)
    assert [case.actual / case.assumed > 0.5 for case in kept] == [False, True, False]


def test_each_broken_assumption_breaks_the_promise_in_sight(cases):
    broken = [case for case in cases if not case.holds]
    assert len(broken) == 5
    assert all(case.verdict.is_broken and case.verdict.excess > 0.3 for case in broken)
    assert all(case.actual > case.assumed for case in broken)


def test_an_assumption_that_the_draws_violate_does_not_hold(monkeypatch):
    monkeypatch.setattr("pipeline.studies.convex.guarantees.trials.SLACK", 0.5)
    settings = GuaranteeSettings(n_draws=100, n_many=2, n_requests=2, longest=2.0)
    case = guarantees(two_classes(Digits(n_train=200).load(), (3, 8), pool=4), settings)[1]
    assert case.actual > case.assumed
    assert not case.holds


def draws_of(problem, forget, sigma=0.3):
    return Perturbed(request=request(problem, forget=np.array(forget)), sigma=sigma)


def test_scores_are_the_logarithms_of_ratios_of_two_densities():
    # The mean over one distribution of another's density relative to it is 1, whatever the two are.
    unlearned, retrained = draws_of(logistic(2, penalty=0.5), [3, 11, 17, 21], sigma=0.08).scores(
        4000, seed=0
    )
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
    assert quiet.residuals(2, seed=0) == pytest.approx(
        np.linalg.norm(quiet.request.retained.gradient(unlearned)), abs=1e-6
    )


def test_noise_that_no_model_survives_is_an_error():
    with pytest.raises(TrainingError, match="lower the noise"):
        minimisers(logistic(2, penalty=1e-3), 1e3 * np.ones((1, 6)))


@pytest.mark.parametrize("problem", [logistic(3), ridge()], ids=["classes", "ridge"])
def test_only_two_classes_are_vectorised(problem):
    with pytest.raises(ConfigError, match="two classes"):
        Perturbed(request=request(problem), sigma=1.0)


def test_more_points_than_there_are_cannot_leave():
    with pytest.raises(ConfigError, match="some must remain"):
        guarantees(logistic(2), GuaranteeSettings(n_many=40))


def test_two_classes_are_pooled_training_points_with_a_constant():
    examples = Digits().load()
    problem = two_classes(examples, (3, 8), pool=2)
    chosen = np.flatnonzero(np.isin(examples.labels[: examples.n_train], (3, 8)))
    assert problem.features[:, 0] == pytest.approx(
        examples.inputs[chosen, 0, :2, :2].mean(axis=(1, 2)), abs=1e-6
    )
    assert (problem.labels == (examples.labels[chosen] == 8)).all()
    assert problem.features.shape == (len(chosen), 17)


@pytest.mark.parametrize(("classes", "pool"), [((3, 11), 2), ((3, 8), 3)])
def test_classes_and_squares_that_are_not_there_are_refused(classes, pool):
    with pytest.raises(DataError, match="choose"):
        two_classes(Digits().load(), classes, pool)


def test_inputs_that_are_no_images_are_taken_as_they_are():
    examples = Planted().load()
    assert two_classes(examples, (0, 1), pool=2).n_features == examples.input_shape[0] + 1


def test_models_whose_step_cannot_be_undone_are_an_error(monkeypatch):
    monkeypatch.setattr(
        "pipeline.studies.convex.guarantees.perturbed.minimisers",
        lambda problem, noise: np.tile(problem.minimise()[:, 0], (len(noise), 1)),
    )
    monkeypatch.setattr("pipeline.studies.convex.guarantees.perturbed.MOST_DRAW_ROUNDS", 0)
    with pytest.raises(TrainingError, match="forget fewer points"):
        draws_of(logistic(2), [3]).scores(2, seed=0)
