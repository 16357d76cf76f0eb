"""Focused models end to end.

The two models of a pair differ only in the forget set. Pairs correct the effect, can grow in number, and
count towards the cost of the request.
"""

import numpy as np
import pytest
from tiny import all_done, run_serially, statuses

from pipeline.core.errors import ConfigError, DataError
from pipeline.data.masks import unpack
from pipeline.graph.costs import spending_of
from pipeline.graph.node import Work
from pipeline.graph.reading.focused_contrasts import read_contrast
from pipeline.graph.result_rows import Spending
from pipeline.unlearning.dm_direct import DmDirect
from pipeline.unlearning.no_op import NoOp

SPARSE = "populations.focused={n_models: 4, keep_fraction: 0.85}"
COUPLED = "populations.focused={n_models: 4}"


def table(session, key):
    return session.store.read(session.graph.survey(session.store)[key].table)


def masks(session, key):
    return unpack(table(session, key)["mask"], session.examples.n_train)


def test_pairs_share_their_seed_with_a_full_model_and_differ_by_the_forget_set(open_tiny):
    session = open_tiny(SPARSE)
    run_serially(session, until="train")
    kept, left_out = masks(session, "train/focused_in/some"), masks(session, "train/focused_out/some")
    forget = table(session, "forget/some")["index"]
    assert [np.flatnonzero(one != other).tolist() for one, other in zip(kept, left_out, strict=True)] == [
        forget.tolist()
    ] * 2
    assert kept[:, forget].all()
    assert left_out.sum(axis=1).tolist() == [round(0.85 * 55)] * 2
    seeds = [
        table(session, key)["seed"][:2].tolist()
        for key in ("train/focused_in/some", "train/focused_out/some", "train/full")
    ]
    assert seeds[0] == seeds[1] == seeds[2]


def test_with_all_other_points_a_pair_is_a_full_model_and_its_retraining(open_tiny):
    session = open_tiny(COUPLED)
    run_serially(session, until="train")
    assert "train/focused_in/some" not in session.graph.nodes
    assert np.array_equal(masks(session, "train/focused_out/some"), masks(session, "train/oracle/some")[:2])
    assert np.array_equal(
        table(session, "train/focused_out/some")["seed"], table(session, "train/full")["seed"][:2]
    )


def test_the_effect_moves_towards_what_the_pairs_see(open_tiny):
    plain, focused = open_tiny(), open_tiny(COUPLED)
    run_serially(plain, until="effect")
    reached = run_serially(focused, until="evaluate")
    before, after = (table(session, "effect/wrong")["mean"] for session in (plain, focused))
    blocks = [name for name in table(focused, "train/full") if name.startswith("logits")]
    kept, left_out = (
        np.concatenate([table(focused, key)[name][:2] for name in blocks], axis=1)
        for key in ("train/full", "train/focused_out/wrong")
    )
    seen = (left_out - kept).mean(axis=0)
    assert np.abs(after - seen).mean() < np.abs(before - seen).mean()
    assert (np.minimum(before, seen) - 1e-5 <= after).all()
    assert (after <= np.maximum(before, seen) + 1e-5).all()
    assert all_done(reached)
    assert statuses(plain)["effect/wrong"] == "done"


def test_more_pairs_train_only_the_new_ones(open_tiny):
    run_serially(open_tiny(SPARSE), until="train")
    grown = open_tiny("populations.focused={n_models: 8, keep_fraction: 0.85}")
    assert run_serially(grown, until="train").n_models_made == 2 * (8 - 4)
    assert statuses(grown)["train/focused_in/wrong"] == "done"


@pytest.mark.parametrize(
    ("settings", "cost"), [(SPARSE, 4 * 0.85), (COUPLED, 2.0), ("populations.focused=null", 0.0)]
)
def test_what_focused_models_cost_is_paid_by_each_request(open_tiny, settings, cost):
    session = open_tiny(settings)
    spending = spending_of(session.experiment, session.examples)
    assert spending.focused == pytest.approx(cost)
    assert spending.shared(DmDirect()) == pytest.approx(spending.datamodel / 2 + cost)
    assert spending.shared(NoOp()) == 0


def test_nothing_is_trained_that_no_unlearner_needs(open_tiny):
    session = open_tiny(SPARSE, unlearners={"nothing": "no_op"})
    assert not [key for key in session.graph.nodes if "focused" in key]
    assert spending_of(session.experiment, session.examples).focused == 0


def test_they_pay_only_where_more_models_forget_than_they_cost():
    spending = Spending(datamodel=100.0, focused=4.0, n_requests=2, n_models=100, epochs=1, n_train=10)
    assert spending.break_even(4) is None
    assert spending.break_even(5) == 100
    assert spending.break_even(104) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{n_models: 5}", r"populations\.focused\.n_models.*multiple of 2"),
        ("{n_models: 2}", r"populations\.focused\.n_models"),
        ("{keep_fraction: 0}", r"populations\.focused\.keep_fraction"),
        ("{keep_fraction: 1.1}", r"populations\.focused\.keep_fraction"),
        (
            "{n_models: 14}",
            r"n_models 14 makes 7 pairs; .* but populations\.full\.n_models is 6; lower "
            r"populations\.focused\.n_models to 12",
        ),
    ],
)
def test_settings_out_of_range_are_refused_with_the_key(open_tiny, settings, message):
    with pytest.raises(ConfigError, match=message):
        open_tiny(f"populations.focused={settings}")


def test_pairs_that_are_not_complete_are_not_compared(open_tiny):
    session = open_tiny(COUPLED)
    run_serially(session, until="train")
    states = session.graph.survey(session.store)
    inputs = {
        "focused_in": states["train/full"].table.part(2, 6),
        "focused_out": states["train/focused_out/some"].table,
    }
    work = Work(
        start=0,
        stop=1,
        store=session.store,
        inputs=inputs,
        examples=session.examples,
        device="cpu",
        kind="looped",
    )
    with pytest.raises(DataError, match="0 pairs of focused models are complete"):
        read_contrast(work, session.experiment.store.layout)


def test_a_fraction_that_keeps_no_point_is_refused_before_any_model_is_trained(open_tiny):
    with pytest.raises(
        ConfigError,
        match=r"^populations.focused: keep_fraction 0.001 keeps none of the 55 points.*\(forget set 'some'\)",
    ):
        open_tiny("populations.focused={n_models: 4, keep_fraction: 0.001}")
