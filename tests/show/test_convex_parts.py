"""The chapter on the convex study for real data and guarantees, on invented content.

Curves may leave the picture, methods may be missing, and numbers may have any size.
"""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.show.figures.theme import png
from pipeline.studies.convex.chapter.chapter_content import (
    CaseContent,
    ConvexContent,
    CourseContent,
    DataContent,
    GuaranteeContent,
)
from pipeline.studies.convex.chapter.chapter_tables import (
    constants_table,
    data_facts,
    guarantees_table,
    outcomes_table,
)
from pipeline.studies.convex.chapter.chapter_words import course_words, verdict_words
from pipeline.studies.convex.chapter.display_names import REMOVAL_NAMES
from pipeline.studies.convex.chapter.number_formats import amount, share_left
from pipeline.studies.convex.chapter.real_parts import guarantee_part, real_figures, real_words

STEPS = np.arange(5)
# R at the end: what converges below the picture, what diverges past all numbers, and what stops within.
ENDS = {
    "retrain": 0.0,
    "newton": 1e-5,
    "oracle_matching_stochastic": 1e-30,
    "gradient_descent": 0.2,
    "gradient_descent_stochastic": np.inf,
    "dmm_newton": 1e-3,
}
CONSTANTS = {
    "strong_convexity": 0.02,
    "smoothness": 331.9,
    "lipschitz": 1.414,
    "hessian_lipschitz": 469.3,
    "condition": 16593.1,
}
FACTS = {
    "n_points": 1400,
    "n_forget": 28,
    "n_features": 65,
    "n_classes": 10,
    "penalty": 0.01,
    "sigma": 0.2,
    "accuracy": {"full": 0.945},
    "constants": CONSTANTS,
}
TRIAL = {
    "epsilon": 1.0,
    "delta": 1e-3,
    "n_points": 279,
    "n_features": 17,
    "classes": [3, 8],
    "penalty": 10.0,
    "n_draws": 1000,
}


def outcome(label, end):
    klom = {points: {"p95": 0.4 + min(end, 1), "mean": 0.2} for points in ("forget", "unseen")}
    return {"label": label, "share": end, "margin": 4.1, "margin_apart": 0.01, "klom": klom, "ulira": 0.5}


def course(label, end):
    return CourseContent(
        label=label,
        steps=STEPS,
        evaluations=1400 * STEPS,
        shares=np.append(np.linspace(1, min(end, 9), 4), end),
    )


def cell(factor, value):
    shares = dict.fromkeys(("newton", "influence", "projective_residual"), 0.1 * value)
    return {
        "factor": factor,
        "value": value,
        "features_condition": 10 * value,
        "shares": shares,
        "steps": {"gradient_descent": None, "oracle_matching": 9},
    }


def case(method, *, holds, is_broken):
    told = {
        "method": method,
        "situation": f"{holds}",
        "holds": holds,
        "sigma": 0.1,
        "assumed": 0.2,
        "actual": 1e7,
    }
    told |= {
        "verdict": {"tpr": 0.5, "fpr": 0.1, "excess": -0.001, "excess_low": -0.02, "is_broken": is_broken}
    }
    return CaseContent(fpr=np.geomspace(1e-3, 1, 20), tpr=np.linspace(0, 1, 20), told=told)


@pytest.fixture
def content():
    courses = tuple(
        CourseContent(
            label=label,
            steps=STEPS,
            evaluations=1400 * STEPS,
            shares=np.append(np.linspace(1, min(end, 9), 4), end),
        )
        for label, end in ENDS.items()
    )
    cells = tuple(
        cell(factor, value)
        for factor in ("penalty", "forget_fraction", "spectrum_power")
        for value in (0.1, 1.0)
    )
    outcomes = tuple(outcome(label, end) for label, end in {"nothing": 1.0, **ENDS}.items())
    data = DataContent(label="digits", courses=courses, facts=FACTS, outcomes=outcomes, cells=cells)
    cases = tuple(
        case(method, holds=holds, is_broken=not holds)
        for method in ("certified removal", "descent-to-delete")
        for holds in (True, False)
    )
    return ConvexContent(
        title="invented", data=(data,), guarantees=GuaranteeContent(facts=TRIAL, cases=cases)
    )


def test_all_figures_are_drawn_and_equal_content_gives_equal_bytes(content):
    first, second = ({name: png(figure) for name, figure in real_figures(content).items()} for _ in range(2))
    assert first.keys() == {"data_digits_courses", "data_digits_sweeps", "guarantees"}
    assert first == second


def shown(made, *places):
    """Return the texts of some columns, row by row."""
    rows = [row for section in made.sections for row in section.rows]
    return [tuple(made.columns[place].text(row.cells[place].value) for place in places) for row in rows]


def test_tables_have_a_row_for_every_removal_and_every_case(content):
    outcomes, promises = outcomes_table(content.data[0]), guarantees_table(content.guarantees)
    assert [label for (label,) in shown(outcomes, 0)] == [
        REMOVAL_NAMES[label] for label in ("nothing", *ENDS)
    ]
    assert [promise for (promise,) in shown(promises, 6)] == ["kept", "broken"] * 2
    assert shown(promises, 3, 4)[0] == ("1·10⁷", "−0.001")


def test_a_forecast_says_when_it_is_within_twice_its_end_and_when_the_oracle_is(content):
    assert shown(outcomes_table(content.data[0]), 3, 4)[-1] == ("3", "3")
    without = replace(
        content.data[0], courses=tuple(one for one in content.data[0].courses if one.label == "dmm_newton")
    )
    assert shown(outcomes_table(without), 3, 4)[-1] == ("—", "—")


def test_facts_name_every_constant_that_theory_rests_on(content):
    told = {}
    for facts in (data_facts(content.data[0]), constants_table(content.data[0])):
        told |= dict(
            zip(
                (column.title for column in facts.columns),
                shown(facts, *range(len(facts.columns)))[0],
                strict=True,
            )
        )
    assert told["points"] == "1,400"
    assert told["strong convexity m"] == "0.02"
    assert told["condition number, at most"] == "16,593"


def test_words_say_who_comes_how_far_and_what_holds(content):
    assert course_words(content.data[0]) == "R after as many gradients: OM in batches 0, GD 0.2, SGD diverged"
    assert verdict_words(content.guarantees).startswith(
        "2 of 2 promises are kept where their assumptions hold, 2 of 2 are broken"
    )
    assert len(real_words(content)) == 2


def test_words_on_nothing_and_on_no_number_are_still_words(content):
    nothing = replace(content.guarantees, cases=())
    assert verdict_words(nothing).startswith("0 of 0 promises are kept")
    unknown = replace(content.data[0], outcomes=(outcome("gradient_descent", np.nan),))
    assert course_words(unknown) == "R after as many gradients: GD n/a"


def test_promises_whose_assumptions_all_fail_are_drawn_too(content):
    cases = tuple(case("certified removal", holds=False, is_broken=True) for _ in range(4))
    assert png(
        real_figures(replace(content, guarantees=replace(content.guarantees, cases=cases)))["guarantees"]
    )


def test_without_guarantees_there_is_no_part_of_them(content):
    assert guarantee_part(replace(content, guarantees=None)) is None
    assert "guarantees" not in real_figures(replace(content, guarantees=None))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (3e-30, "0"),
        (3e-7, "3·10⁻⁷"),
        (0.25, "0.25"),
        (123.4, "123"),
        (2.1e13, "2·10¹³"),
        (np.inf, "diverged"),
        (np.nan, "n/a"),
    ],
)
def test_amounts_of_any_size(value, words):
    assert amount(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(1.8e6, "2·10⁶"), (99.4, "99"), (99.8, "1·10²"), (0.25, "0.25")]
)
def test_shares_that_grew_are_powers_of_ten(value, words):
    assert share_left(value) == words
