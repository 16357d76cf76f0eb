"""A comparison names the experiment in which a method is fewest floors away from retraining.

Missing results are shown as missing, and the page needs no other file.
"""

import math
import re

import pytest
from compared import compared_set, comparison, entry, scores_of

from pipeline.core.errors import ShapeError
from pipeline.results.comparison_content import ComparedSet, Method, lead_label, nearest
from pipeline.results.report_content import Role
from pipeline.show.comparison.comparison_figure import comparison_figure
from pipeline.show.comparison.comparison_page import render_comparison
from pipeline.show.comparison.comparison_words import headline


@pytest.fixture(scope="module")
def page() -> str:
    return render_comparison(comparison())


def test_the_headline_says_how_far_the_method_is_and_where_it_is_nearer():
    assert headline(comparison()) == (
        "dmm ends at 1.2 to 10 floors in convex and 1.4 to 2.9 floors in digits. "
        "It is nearer in digits on coherent; nearer in convex on random; about as near in both on level."
    )


@pytest.mark.parametrize(
    ("p95", "floors"),
    [
        ((math.nan, 1.0), "countless floors in convex and 1.4"),
        ((0.0, 0.0), "0.0 floors in convex and 0.0"),
        ((5.0, 1.0), "10 floors in"),
    ],
)
def test_one_set_and_odd_numbers_are_put_into_words(p95, floors):
    assert headline(comparison(compared_set(dmm=p95))).startswith(f"dmm ends at {floors}")


@pytest.mark.parametrize(
    ("p95", "expected"),
    [
        ((5.0, 1.0), "digits"),
        ((0.5, 1.4), "convex"),
        ((1.0, 1.4), None),
        ((1.0, 1.6), None),
        ((math.nan, 9.0), "digits"),
    ],
)
def test_nearer_is_counted_in_floors_and_must_be_told_by_the_intervals(p95, expected):
    """Floors are 0.5 and 0.7: twice the floor is level, and so is what the intervals cannot tell."""
    one = compared_set(dmm=p95)
    assert nearest(comparison(one), one, "dmm") == expected


def test_the_words_follow_a_cheap_method_that_all_experiments_have():
    assert lead_label(comparison(compared_set(dmm=(9.9, 9.9), finetune=(1.0, 1.0)))) == "dmm"
    assert lead_label(comparison(compared_set(dmm=(1.0, None)))) == "finetune"
    assert lead_label(comparison(compared_set(dmm=(1.0, None), finetune=(None, 1.0)))) is None


def test_without_such_a_method_the_page_says_so():
    page = render_comparison(comparison(compared_set(dmm=(1.0, None), finetune=(None, 1.0))))
    assert "No cheap method that moves weights is in all of these experiments" in page


def test_the_page_needs_nothing_beside_it(page):
    assert "://" not in page
    assert "<script" not in page
    assert all(address.startswith("#") for address in re.findall(r"(?:src|href)=\"([^\"]*)\"", page))


def test_the_page_shows_every_figure_and_every_setting_that_differs(page):
    for words in ("5.00", "10× floor", "94.0%", "model.width", "variant closed", "the same forgotten points"):
        assert words in page
    assert page == render_comparison(comparison())


def test_what_an_experiment_lacks_is_a_gap_and_what_is_broken_is_told():
    broken = Method(label="ascent", role=Role.RIVAL, entries=(entry(math.nan, n_nonfinite=30), None))
    one = compared_set()
    whole = ComparedSet(
        **{**one.__dict__, "methods": (*one.methods, broken), "same_points": False, "n_points": (15, 20)}
    )
    page = render_comparison(comparison(whole))
    assert page.count("<b>—</b>") == 3
    assert "⚠ 30 outputs not finite" in page
    assert "15 and 20 points, not the same ones" in page


def test_labels_of_users_are_text_and_never_markup():
    page = render_comparison(comparison(compared_set("<em>&"), names=("<i>", "b")))
    assert "<em>&" not in page
    assert "<i>:" not in page
    assert "&lt;em&gt;&amp;" in page


def test_the_figure_marks_every_method_of_every_experiment_and_both_floors():
    axes = comparison_figure(comparison()).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["coherent", "random", "level"]
    assert {text.get_text() for text in axes[0].texts} >= {"5.00", "1.00", "10.5", "9.90"}
    floors = [
        line.get_xdata()[0]
        for line in axes[0].lines
        if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert {0.5, 0.7} <= set(floors)


def test_more_experiments_than_two_are_compared_with_the_nearest():
    three = [Method(label="dmm", role=Role.DATAMODEL, entries=(entry(5.0), entry(1.0), entry(9.0)))]
    one = ComparedSet(
        label="a", same_points=True, n_points=(1,) * 3, floor=(scores_of(0.5, 0.5),) * 3, methods=tuple(three)
    )
    content = comparison(
        one, names=("x", "y", "z"), models=("m",) * 3, n_models=((9, 9),) * 3, differences=()
    )
    assert "It is nearest in y on a." in headline(content)
    assert "these experiments differ in their data alone" in render_comparison(content)


def test_values_of_another_number_of_experiments_are_refused():
    with pytest.raises(ShapeError, match="one for each experiment"):
        ComparedSet(label="a", same_points=True, n_points=(1, 1), floor=(scores_of(0.5, 0.5),), methods=())
