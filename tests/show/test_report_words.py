"""The verdict agrees with the numbers in each situation, and prefers no method by name."""

import math

import pytest

from pipeline.results.payback import break_even
from pipeline.results.report_content import chosen_row
from pipeline.results.tables import Tone
from pipeline.show.report.report_tables import key_figures, numbers_table
from pipeline.show.report.report_words import summary, verdict
from pipeline.show.report.verdict import SetOutcome, judge

NOTHING = {"no_op": (9.3, 0.63, 1.2)}


def said(content) -> str:
    spoken = verdict(content)
    return " ".join((spoken.headline, *spoken.sentences))


def test_reaching_the_floor_is_said_with_gain_rival_and_cost(make_set):
    content = make_set(NOTHING | {"dmm": (0.81, 0.7, 0.72), "gradient_ascent": (8.7, 0.7, 0.9)})
    spoken = verdict(content)
    assert spoken.outcome == SetOutcome.REACHED
    assert spoken.headline == "dmm reaches the floor of retraining"
    assert key_figures(content) == (
        ("9.30", "doing nothing"),
        ("0.81", "dmm"),
        ("0.62", "retraining"),
        ("8.2%", "of a retraining"),
    )
    assert spoken.sentences[0] == "dmm closes 98% of the gap to retraining for 8.2% of one retraining."
    assert (
        spoken.sentences[1] == "Best without a datamodel: gradient_ascent, 8.70 for 0.4% of one retraining."
    )


def test_a_rival_that_wins_is_named_the_winner(make_set):
    text = said(make_set(NOTHING | {"dmm": (6.3, 0.7, 0.7), "finetune": (0.7, 0.6, 0.6)}))
    assert text.startswith("finetune reaches the floor")
    assert "Best with a datamodel: dmm, 6.30 for 8.2% of one retraining." in text


def test_part_of_the_way_leaves_the_victory_to_retraining(make_set):
    content = make_set(
        NOTHING | {"dmm": (6.3, 0.7, 0.7), "oracle_matching": (0.8, 0.9, 0.7), "dm_direct": (6.1, 0.6, 0.7)}
    )
    assert judge(content).outcome == SetOutcome.PARTIAL
    text = said(content)
    assert "dmm covers only part of the way: retraining wins" in text
    assert "No method without a datamodel was tried." in text
    assert "True targets get further: the prediction is what falls short." in text


def test_a_prediction_better_than_what_was_matched_to_it_blames_matching(make_set):
    text = said(
        make_set(
            NOTHING
            | {"dmm": (6.3, 0.7, 0.7), "oracle_matching": (0.8, 0.9, 0.7), "dm_direct": (2.1, 0.6, 0.7)}
        )
    )
    assert "The prediction is good: matching to it is what falls short." in text


@pytest.mark.parametrize(
    ("p95", "outcome"),
    [
        (1.6, SetOutcome.CLOSE),
        (8.9, SetOutcome.FAILED),
        (9.9, SetOutcome.FAILED),
        (math.nan, SetOutcome.FAILED),
    ],
)
def test_outcomes_follow_the_distance_to_the_floor(make_set, p95, outcome):
    assert judge(make_set(NOTHING | {"dmm": (p95, 0.7, 0.7)})).outcome == outcome


def test_being_no_nearer_than_doing_nothing_is_said(make_set):
    text = said(make_set(NOTHING | {"dmm": (9.9, 0.7, 0.7)}))
    assert "No cheap method works: retraining wins" in text
    assert "ends no nearer than doing nothing" in text


def test_where_doing_nothing_is_at_the_floor_unlearning_buys_nothing(make_set):
    text = said(
        make_set({"no_op": (0.71, 0.6, 0.6), "dmm": (0.68, 0.6, 0.6), "gradient_ascent": (2.4, 0.6, 0.6)})
    )
    assert text == "Doing nothing is already at the floor: unlearning buys nothing"


def test_a_high_floor_forbids_a_verdict(make_set):
    content = make_set(NOTHING | {"dmm": (8.5, 8.5, 8.5)}, floor=(8.4, 8.4, 8.4))
    assert "Cannot tell: with 40 models the floor itself is 8.40 nats" in said(content)


def test_bounds_and_predictors_never_win(make_set):
    content = make_set(NOTHING | {"oracle_matching": (0.6, 0.6, 0.6), "dm_direct": (0.6, 0.6, 0.6)})
    assert judge(content).outcome == SetOutcome.UNTRIED
    assert "No cheap method that moves weights was tried" in said(content)


def test_a_costly_method_that_does_better_wins_nothing_and_stands_in_the_table(make_set, make_row):
    dmm, partial = make_row("dmm", (6.3, 0.6, 0.6)), make_row("finetune", (0.7, 0.6, 0.6))
    partial = make_row(
        "finetune",
        (0.7, 0.6, 0.6),
        label="partial",
        cost=type(partial.cost)(samples=1.0, fraction=0.83, amortised_fraction=0.83),
    )
    content = make_set({}, rows=(dmm, partial))
    assert said(content).startswith("dmm covers only part of the way")
    assert row_named("partial", content).cells[7].value == 0.83


def row_named(label, content):
    rows = numbers_table((content,)).sections[0].rows
    return next(row for row in rows if row.cells[0].value == label)


def test_harm_to_other_points_is_said_marked_and_costs_the_victory(make_set):
    harmful = (0.6, 9.0, 9.0)
    content = make_set(NOTHING | {"gradient_ascent": harmful, "dmm": (1.1, 0.7, 0.7)})
    assert judge(content).winner.label == "dmm"
    text = said(content)
    assert "gradient_ascent, 0.60 for 0.4% of one retraining, but further off elsewhere" in text
    assert "Worse than before on other points: gradient_ascent." in text
    assert [cell.tone for cell in row_named("gradient_ascent", content).cells[1:4]] == [
        Tone.NEUTRAL,
        Tone.BAD,
        Tone.BAD,
    ]


def test_what_doing_nothing_leaves_behind_is_not_blamed_on_unlearning(make_set):
    content = make_set({"no_op": (9.3, 6.0, 9.6), "dmm": (0.8, 0.6, 2.2)})
    assert "Worse than before" not in said(content)
    assert row_named("dmm", content).cells[3].tone is Tone.NEUTRAL
    assert row_named("dmm", content).cells[3].shade > 0


def test_margins_that_are_not_finite_are_counted(make_set, make_row):
    rows = (
        make_row("no_op", (9.3, 0.6, 0.6)),
        make_row("gradient_ascent", (11.51, 11.51, 11.51), n_nonfinite=1740),
    )
    assert (
        "⚠ 1,740 outputs not finite" in row_named("gradient_ascent", make_set({}, rows=rows)).cells[0].under
    )


def test_level_methods_are_called_level(make_set):
    assert "finetune, 0.85 for 33% of one retraining, about level." in said(
        make_set(NOTHING | {"dmm": (0.81, 0.6, 0.6), "finetune": (0.85, 0.6, 0.6)})
    )


def test_a_level_datamodel_is_granted_its_draw(make_set):
    assert "dmm, 0.85 for 8.2% of one retraining, about level." in said(
        make_set(NOTHING | {"dmm": (0.85, 0.6, 0.6), "finetune": (0.81, 0.6, 0.6)})
    )


def test_without_rows_there_is_nothing_to_follow(make_set):
    assert chosen_row(make_set({})) is None
    assert judge(make_set({})).outcome == SetOutcome.UNTRIED


def test_the_report_follows_the_best_row_that_uses_the_datamodel(make_set):
    assert (
        chosen_row(make_set(NOTHING | {"finetune": (0.6, 0.6, 0.6), "dmm": (3.0, 0.6, 0.6)})).label == "dmm"
    )
    assert chosen_row(make_set(NOTHING)).label == "no_op"


def test_the_summary_names_few_sets_and_counts_the_others(make_set):
    won, lost = (
        verdict(make_set({"dmm": (0.7, 0.6, 0.6)}, label="a")),
        verdict(make_set({"dmm": (9.0, 0.6, 0.6)}, label="b")),
    )
    assert summary([won, lost]) == (
        "On a, a cheap method reaches the floor of retraining; on b, the best cheap method covers only part "
        "of the way."
    )
    assert summary([won] * 6 + [lost]).startswith("On a, a, a, a and 2 more, a cheap method reaches")
    assert summary([]) == "No forget set was judged."


@pytest.mark.parametrize("floor", [0.0, 0.62, math.nan, math.inf])
@pytest.mark.parametrize("p95", [math.nan, 0.0, 0.62, 11.5])
def test_no_number_is_odd_enough_for_an_odd_sentence(make_set, make_row, floor, p95):
    floors = (floor,) * 3
    dmm, nothing = (make_row(kind, (p95,) * 3, floor=floors) for kind in ("dmm", "no_op"))
    for rows in ((), (dmm,), (nothing, dmm)):
        content = make_set({}, rows=rows, floor=floors)
        text = f"{said(content)} {summary([verdict(content)])}"
        assert not any(word in text for word in ("nan", "inf", "None", "  ", "{"))


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(0.082, "1,090 or more requests share it"), (0.0, "1,000 or more"), (1.0, "never pays")],
)
def test_break_even_is_the_datamodel_over_what_a_request_saves(fraction, words):
    assert words in break_even(1000.0, fraction)
