"""Attribution in the report: predictions beside outcomes, in words that follow from the numbers.

Missing parts are left out.
"""

import dataclasses

import numpy as np
import pytest
from drawn import figures, render
from invented import curve_of, forecast_of, forget_curve_of, influence_of, point_of, split_of

from pipeline.results.formatting import give_or_take, signed
from pipeline.show.figures.curve_figure import curve_figure
from pipeline.show.figures.forecast_figure import forecast_figure
from pipeline.show.figures.influence_figure import influence_figure
from pipeline.show.figures.theme import png, svg
from pipeline.show.report.attribution_words import curve_words, forecast_words
from pipeline.show.report.report_tables import forecast_table


def text(figure) -> str:
    return svg(figure, "a figure")


def said(**fields) -> str:
    return " ".join(forecast_words(forecast_of(**fields)))


@pytest.fixture
def content(make_set):
    """A forget set with everything that attribution says of it."""
    return make_set(
        {"dmm": (0.8, 0.6, 0.6)},
        images=np.zeros((4, 2, 2)),
        forecast=forecast_of(),
        influences=(influence_of(),),
    )


@pytest.fixture
def report(make_report, content):
    return make_report(
        content,
        attribution=dataclasses.replace(
            make_report().attribution, curve=curve_of(0.45, 0.53, 0.6, 0.65), r2_by_block=(0.2, 0.4)
        ),
    )


def test_the_page_shows_prediction_influences_and_curve(report):
    page = render(report)
    places = [
        page.index(f'id="{name}"')
        for name in ("verdict", "table", "predicted", "influences", "datamodel", "spent")
    ]
    assert places == sorted(places)
    assert "+2.50" in page
    assert "really retrained without the set" in page
    assert "+0.90 ± 0.12" in page
    assert "gained +0.050 LDS: more models would help" in page
    assert "0.20 to 0.40 from block to block" in page
    assert render(report) == page


def test_its_figures_are_kept_by_name(report):
    drawn = figures(report)
    assert set(drawn) == {
        "klom_against_cost",
        "lds_by_models",
        "margins_coherent",
        "forgotten_coherent",
        "predicted_coherent",
        "influences_coherent_40",
    }
    assert figures(report) == drawn


def test_without_a_datamodel_nothing_is_said_of_one(make_report, make_set):
    page = render(make_report(make_set({"dmm": (0.8, 0.6, 0.6)}), attribution=None))
    assert not [
        name
        for name in ("predicted", "influences", "datamodel")
        if f"#{name}" in page or f'id="{name}"' in page
    ]


def test_without_held_out_models_the_score_is_not_measured(make_report, content):
    bare = dataclasses.replace(make_report().attribution, penalty="", r2=None, lds=None, lds_interval=None)
    page = render(make_report(content, attribution=bare))
    assert page.count("not measured") == 2
    assert 'id="predicted"' in page


def test_margins_that_cannot_be_ranked_are_told_of(make_report, content):
    told = dataclasses.replace(make_report().attribution, n_constant=3, n_flat=1)
    page = render(make_report(content, attribution=told))
    assert "Margins that never vary: left out of LDS" in page
    assert "Margins that are predicted not to vary: count as 0" in page
    assert "Margins that" not in render(make_report(content))


@pytest.mark.parametrize(
    ("lds", "words"),
    [
        ((0.5, 0.512), "gained +0.012 LDS: more models would help"),
        ((0.5, 0.497), "gained −0.003 LDS: more would hardly"),
        ((0.5, np.nan), "gained n/a LDS: more would hardly"),
    ],
)
def test_the_last_doubling_decides(lds, words):
    assert f"from 100 to 200 subset models, {words}" in curve_words(curve_of(*lds))
    assert png(curve_figure(curve_of(*lds))).startswith(b"\x89PNG")


def cells(content) -> dict[str, list[str]]:
    """Return the texts of a forecast's table by column, those of the same title one after the other."""
    made = forecast_table(content.splits)
    rows = [row for section in made.sections for row in section.rows]
    found = {}
    for place, column in enumerate(made.columns):
        found.setdefault(
            f"{column.group} {column.title}".strip(), [column.text(row.cells[place].value) for row in rows]
        )
    return found


def test_a_forecast_says_what_changes_and_how_it_came_out():
    assert said() == (
        "The median margin of the 15 forgotten points moves from +7.90 to +2.50 nats; misclassified: 0 "
        "before, 2 after. After retraining it is +2.10."
    )
    assert "retraining" not in said(actual=None)
    assert said(n_points=1).startswith("The margin of the one forgotten point moves from +7.90 to +2.50 nats")


def test_the_table_of_a_forecast_has_a_row_for_each_split_and_says_how_sure_it_is():
    found = cells(forecast_of())
    assert found["Points"] == ["forgotten", "retained", "validation"]
    assert found["Change, nats clear"] == ["92%"] * 3
    assert found["As retrained within"] == ["14"] * 3
    assert found["Misclassified predicted"] == ["2"] * 3


def test_columns_of_what_is_not_known_are_left_out():
    blind = {
        name: split_of(15, median_actual=2.1, median_standard_error=None, share_clear=None)
        for name in ("forget", "retain", "validation")
    }
    found = forecast_of(**blind)
    assert not {"Change, nats ± standard error", "Change, nats clear", "As retrained within"} & set(
        cells(found)
    )
    assert forecast_table(found.splits).notes == (
        "How sure: not known, since this estimator gives no standard errors.",
    )
    assert forecast_table(forecast_of().splits).notes == ()
    unknown = tuple(dataclasses.replace(change, standard_error=np.nan) for change in found.forget)
    assert "two standard errors" not in text(
        forecast_figure(dataclasses.replace(found, forget=unknown, others=()))
    )


def test_what_is_no_number_is_told_and_a_split_without_points_is_left_out():
    unknown = dict.fromkeys(
        (
            "median_before",
            "median_after",
            "median_change",
            "largest_change",
            "median_standard_error",
            "share_clear",
        )
    )
    nothing = {name: split_of(0, **unknown) for name in ("forget", "retain", "validation")}
    assert (
        said(**nothing) == "Nothing can be predicted of the forgotten points: their margins are not finite."
    )
    assert cells(forecast_of(**nothing))["Points"] == []
    assert cells(forecast_of(retain=split_of(0, **unknown)))["Points"] == ["forgotten", "validation"]


@pytest.mark.parametrize("has_image", [True, False])
def test_influences_are_drawn_with_and_without_images(has_image):
    drawn = text(influence_figure(influence_of(has_image=has_image)))
    assert drawn.count("<image") == (6 if has_image else 0)
    assert all(
        words in drawn
        for words in ("help most", "hurt most", "#40, itself", "−0.45", "R² 0.84 on held-out models")
    )
    assert "−0.45 ±" not in drawn


def test_long_lists_end_in_a_picture_and_one_side_may_be_empty():
    assert text(influence_figure(influence_of(30, 0))).count("<image") == 25
    assert "<svg" in text(influence_figure(influence_of(0, 0, has_image=False)))


def test_a_flipped_label_is_explained():
    flipped = dataclasses.replace(
        influence_of().harmful[0], point=point_of(9, label="9 → 1", is_flipped=True)
    )
    drawn = text(influence_figure(influence_of(harmful=(flipped,))))
    assert "label 9 → 1" in drawn
    assert "red: flipped, given → true" in drawn
    assert "red:" not in text(influence_figure(influence_of()))


@pytest.mark.parametrize("has_image", [True, False])
def test_a_forecast_is_drawn_point_by_point(has_image):
    drawn = text(forecast_figure(forecast_of(20, has_image=has_image)))
    assert "forgotten points: 16 of 20" in drawn
    assert drawn.count("<image") == (20 if has_image else 0)
    assert "really retrained" not in text(forecast_figure(forecast_of(actual=None)))


def test_what_is_not_finite_is_not_drawn():
    content = forecast_of(2)
    broken = dataclasses.replace(content.forget[0], after=float("nan"))
    assert "<svg" in text(forecast_figure(dataclasses.replace(content, forget=(broken, content.forget[1]))))


def test_numbers_carry_their_sign_and_what_is_unknown_is_not_invented():
    assert (signed(-0.004), signed(0.0123, 3), signed(-12.34), signed(float("nan"))) == (
        "0.00",
        "+0.012",
        "−12.3",
        "n/a",
    )
    assert (give_or_take(0.5, 0.04), give_or_take(0.5, None)) == ("+0.50 ± 0.04", "+0.50")


def test_forgetting_by_models_stands_below_the_score_with_retraining_and_doing_nothing():
    drawn = text(
        curve_figure(
            curve_of(0.45, 0.53, 0.6, 0.65),
            [forget_curve_of("coherent"), forget_curve_of("wrong", 8.0, 5.0, 3.0, 2.0)],
        )
    )
    assert all(
        name in drawn
        for name in ("coherent", "wrong", "doing nothing", "retrained", "LDS on held-out models")
    )
    assert "DM-Direct" not in text(curve_figure(curve_of(0.45, 0.53, 0.6, 0.65)))


def test_many_sets_are_drawn_without_their_names():
    drawn = text(
        curve_figure(
            curve_of(0.45, 0.53, 0.6, 0.65), [forget_curve_of(f"set number {number}") for number in range(8)]
        )
    )
    assert "set number 3" not in drawn
    assert "doing nothing" in drawn


@pytest.mark.parametrize("p95", [(9.6, 9.3, 9.2, 9.0), (3.0, 2.0, 1.6, 1.4), (0.3, 0.25, 0.22, 0.2)])
def test_the_axis_of_forgetting_has_numbers_over_any_range(p95):
    forgetting = dataclasses.replace(forget_curve_of("coherent", *p95), nothing=p95[0], floor=p95[-1])
    *_, ax = curve_figure(curve_of(0.45, 0.53, 0.6, 0.65), [forgetting]).axes
    low, high = ax.get_ylim()
    assert (
        len(
            [
                tick
                for tick in ax.get_yticklabels()
                if tick.get_text() and low <= tick.get_position()[1] <= high
            ]
        )
        >= 3
    )


def test_the_legend_of_forgetting_lies_below_its_axis_and_inside_the_figure():
    forgetting = [forget_curve_of(f"set number {number}") for number in range(6)]
    figure = curve_figure(curve_of(0.45, 0.53, 0.6, 0.65), forgetting)
    *_, ax = figure.axes
    figure.draw_without_rendering()
    box, label = ax.get_legend().get_window_extent(), ax.xaxis.label.get_window_extent()
    assert 0 <= box.y0 < box.y1 < label.y0
    assert box.x1 <= figure.bbox.x1
