"""Errors and wrong results of a user's class are reported with the class, the line and the expectation.

This happens before compute if possible.
"""

import jaxtyping
import mistakes
import pytest
from tiny import run_serially

from pipeline.core.errors import ConfigError, DataError

QUICK = {
    "model": "logistic",
    "recipe": {"epochs": 1, "batch_size": 20, "learning_rate": 0.1, "ensemble": "auto"},
    "populations": {
        "subset": {"n_models": 4, "keep_fraction": 0.5},
        "designed": None,
        "n_seeds": None,
        "heldout": None,
        "full": {"n_models": 2},
        "oracle": {"n_models": 2},
        "floor": {"n_models": 2},
    },
    "estimator": "ridge",
    "forget_sets": {"some": {"name": "random", "n_points": 5}},
    "unlearners": {"nothing": "no_op"},
    "judges": {"klom": {"n_resamples": 20}},
}


@pytest.fixture(autouse=True)
def _types_unchecked():
    """The suite checks the types of arrays as they are handed over; a user's process does not."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refusal(open_tiny, **changes):
    """Return the message with which an experiment is refused before compute."""

    def plan():
        session = open_tiny(**QUICK | changes)
        session.graph.survey(session.store)

    with pytest.raises((ConfigError, DataError)) as refused:
        plan()
    return str(refused.value)


def failure(session, *keys):
    """Return the error of the first shard of these nodes.

    What was returned wrongly is tried once, what was raised as often as any error.
    """
    progress = run_serially(session, wanted=frozenset(session.graph.nodes) if not keys else frozenset(keys))
    first = progress.failures[0]
    assert first.tries == (3 if " raised " in first.error else 1)
    return first.error


@pytest.mark.parametrize(("name", "message"), mistakes.MODELS.items())
def test_a_model_with_a_mistake_is_refused_before_compute(open_tiny, name, message):
    said = refusal(open_tiny, model=f"mistakes:{name}")
    assert name in said
    assert message in said


@pytest.mark.parametrize(("name", "message"), mistakes.DATASETS.items())
def test_a_data_set_with_a_mistake_is_refused_with_its_line(open_tiny, name, message):
    said = refusal(open_tiny, dataset=f"mistakes:{name}")
    assert f"mistakes:{name} (your Dataset)" in said
    assert message in said
    assert "mistakes.py line " in said


@pytest.mark.parametrize(("name", "message"), mistakes.FORGET_SETS.items())
def test_a_forget_set_with_a_mistake_is_refused_before_compute(open_tiny, name, message):
    said = refusal(open_tiny, forget_sets={"some": f"mistakes:{name}"})
    assert f"mistakes:{name}" in said
    assert message in said


@pytest.mark.parametrize(("name", "message"), [*mistakes.ESTIMATORS_EARLY.items(), *mistakes.BUILDS.items()])
def test_an_estimator_with_a_mistake_is_refused_before_compute(open_tiny, name, message):
    said = refusal(open_tiny, estimator=f"mistakes:{name}", unlearners={"direct": "dm_direct"})
    assert f"mistakes:{name}" in said
    assert message in said


@pytest.mark.parametrize(("name", "message"), mistakes.UNLEARNERS_EARLY.items())
def test_an_unlearner_with_a_wrong_declaration_is_refused_before_compute(open_tiny, name, message):
    assert message in refusal(open_tiny, unlearners={"mine": f"mistakes:{name}"})


@pytest.mark.parametrize(("name", "message"), mistakes.RECORDS.items())
def test_records_with_a_mistake_are_refused_before_compute(open_tiny, name, message):
    populations = QUICK["populations"] | {"subset": {"source": f"mistakes:{name}"}}
    said = refusal(open_tiny, populations=populations)
    assert message in said


@pytest.mark.parametrize(("name", "message"), mistakes.ESTIMATORS_LATE.items())
def test_an_estimator_that_fails_in_compute_is_a_failed_shard_that_names_it(open_tiny, name, message):
    said = failure(
        open_tiny(**QUICK | {"estimator": f"mistakes:{name}", "unlearners": {"direct": "dm_direct"}})
    )
    assert f"mistakes:{name}" in said
    assert message in said


@pytest.mark.parametrize(("name", "message"), mistakes.UNLEARNERS_LATE.items())
def test_an_unlearner_that_fails_in_compute_is_a_failed_shard_that_names_it(open_tiny, name, message):
    session = open_tiny(**QUICK | {"unlearners": {"mine": f"mistakes:{name}"}})
    said = failure(session, "train/full", "forget/some", "unlearn/mine/some")
    assert f"mistakes:{name}" in said
    assert message in said


def test_a_forget_set_that_needs_margins_fails_in_compute_with_its_name(open_tiny):
    mistakes.subclass(mistakes.ForgetSet, "SelectLate", needs=("full",), select=mistakes.returned([3, 5]))
    session = open_tiny(**QUICK | {"forget_sets": {"some": "mistakes:SelectLate"}})
    said = failure(session, "train/full", "forget/some")
    assert "mistakes:SelectLate (your ForgetSet): select() returned list of int" in said


def test_sound_plugins_of_the_users_own_run_to_the_end(open_tiny):
    unlearners = {"direct": "dm_direct", "mine": "mistakes:RetainText"}
    session = open_tiny(
        **QUICK | {"dataset": "mistakes:NumpyCounts", "estimator": "mistakes:Bare", "unlearners": unlearners}
    )
    assert not run_serially(session).failures
