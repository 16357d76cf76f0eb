"""The figure of quality against cost shows a method's snapshots as a curve; labels keep clear of it."""

import itertools
import math

import numpy as np
import pytest
from drawn import render

from pipeline.evaluation.judges.scores import Score, Scores
from pipeline.results.report_content import Cost, SnapshotContent
from pipeline.show.figures.cost_figure import cost_figure
from pipeline.show.figures.snapshot_curves import APART, DASHES

WAY = [(0.001, 9.0), (0.01, 4.0), (0.05, 1.5), (0.082, 0.81)]


def scores_of(value):
    return Scores(
        rows=tuple(
            Score(statistic="p95", split=split, value=value, unit="nats")
            for split in ("forget", "retain", "validation")
        )
    )


def snapshots_of(way, judge="klom"):
    """Return snapshots at (fraction of a retraining, P95 of every split)."""
    return tuple(
        SnapshotContent(
            after=number + 1,
            unit="epoch",
            cost=Cost(samples=21_000 * fraction, fraction=fraction, amortised_fraction=fraction),
            scores={judge: scores_of(value)},
        )
        for number, (fraction, value) in enumerate(way)
    )


@pytest.fixture
def set_with(make_row, make_set):
    """Return a maker of forget sets with nothing, and methods (kind, label) with ways."""

    def make(*methods):
        rows = [make_row("no_op", (9.3, 0.6, 1.2))]
        rows += [
            make_row(kind, (0.81, 0.88, 0.72), label=label, snapshots=snapshots_of(way))
            for kind, label, way in methods
        ]
        return make_set({}, rows=tuple(rows))

    return make


def lines(figure):
    """Return lines with at least two points whose dashes are those of a way, as arrays (n_snapshots, 2)."""
    return [
        line
        for ax in figure.axes
        for line in ax.get_lines()
        if line.get_zorder() == 3 and line.get_linestyle() != "None"
    ]


def test_the_line_leads_through_every_snapshot_to_the_result(set_with):
    figure = cost_figure([set_with(("dmm", "dmm", WAY))])
    (line,) = lines(figure)
    assert line.get_xydata() == pytest.approx(np.array([(math.log10(cost), value) for cost, value in WAY]))
    results = [
        mark.get_xydata()[0].tolist()
        for mark in figure.axes[0].get_lines()
        if mark.get_marker() == "o" and mark.get_zorder() == 4
    ]
    assert results == [pytest.approx([math.log10(0.082), 0.81])]


def test_a_method_without_snapshots_or_with_the_last_alone_has_no_line(set_with):
    assert lines(cost_figure([set_with(("dmm", "dmm", []), ("finetune", "finetune", WAY[-1:]))])) == []


def test_methods_of_one_colour_differ_in_dashes(set_with):
    found = lines(cost_figure([set_with(*(("finetune", f"tuned {number}", WAY) for number in range(3)))]))
    assert len({line.get_color() for line in found}) == 1
    assert len({str(line._dash_pattern) for line in found}) == 3 < len(DASHES)


def test_what_is_no_number_or_beyond_the_worst_lies_at_the_worst(set_with):
    (line,) = lines(cost_figure([set_with(("dmm", "dmm", [(0.001, math.nan), (0.01, 40.0), (0.082, 0.81)]))]))
    assert line.get_ydata()[:2] == pytest.approx([-math.log(1e-5)] * 2, abs=0.01)


def test_the_axis_holds_snapshots_that_cost_less_than_every_result(set_with):
    (ax,) = cost_figure([set_with(("finetune", "finetune", [(1e-5, 9.0), (0.33, 1.0)]))]).axes
    assert ax.get_xlim()[0] < -5 < ax.get_xlim()[1]
    assert "0.001%" in [tick.get_text() for tick in ax.get_xticklabels()]


def test_an_axis_of_few_decades_has_ticks_between_them(set_with):
    (ax,) = cost_figure([set_with(("finetune", "finetune", [(0.1, 9.0), (0.33, 1.0)]))]).axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "10%", "30%", "100%"]


def test_panels_side_by_side_have_the_numbers_of_their_axis_once(set_with):
    figure = cost_figure([set_with(("dmm", "dmm", WAY))] * 4)
    labelled = [ax.yaxis.get_tick_params()["labelleft"] for ax in figure.axes]
    assert labelled == [True, False, False, True]


def test_labels_keep_clear_of_the_bars_of_others(set_with):
    (ax,) = cost_figure(
        [set_with(("finetune", "first", [(0.1, 9.0), (0.3, 1.0)]), ("dmm", "second", WAY))]
    ).axes
    renderer = ax.figure.canvas.get_renderer()
    boxes = [
        text.get_window_extent(renderer)
        for text in ax.texts
        if text.get_text().startswith(("first", "second"))
    ]
    bars = [line for line in ax.get_lines() if line.get_alpha() == 0.45]
    along = [np.linspace(*ax.transData.transform(bar.get_xydata()), 60) for bar in bars]
    assert not any(box.contains(*place) for box in boxes for places in along for place in places)


def test_snapshots_without_cost_are_drawn_at_zero(set_with):
    (line,) = lines(cost_figure([set_with(("dmm", "dmm", [(0.0, 9.0), (0.0, 5.0), (0.082, 0.81)]))]))
    assert np.isfinite(line.get_xydata()).all()


def test_small_marks_do_not_touch_each_other(set_with):
    crowded = [(0.08 + 1e-5 * number, 2.0) for number in range(300)]
    figure = cost_figure([set_with(("finetune", "finetune", crowded))])
    (ax,) = figure.axes
    marks = next(line for line in ax.get_lines() if line.get_zorder() == 3 and line.get_linestyle() == "None")
    pixels = ax.transData.transform(marks.get_xydata()) if len(marks.get_xydata()) else np.zeros((0, 2))
    assert all(
        np.hypot(*(one - other)) >= APART for index, one in enumerate(pixels) for other in pixels[:index]
    )


def test_labels_keep_clear_of_the_lines(set_with):
    figure = cost_figure(
        [set_with(("dmm", "dmm", WAY), ("finetune", "tuned", [(0.002, 9.2), (0.1, 6.0), (0.33, 3.0)]))]
    )
    (ax,) = figure.axes
    boxes = [
        text.get_window_extent() for text in ax.texts if text.get_text().startswith(("dmm", "tuned", "no_op"))
    ]
    for line in lines(figure):
        pixels = ax.transData.transform(line.get_xydata())
        along = np.concatenate([np.linspace(*ends, 60) for ends in itertools.pairwise(pixels)])
        assert not any(box.contains(*place) for box in boxes for place in along)


def test_seven_entries_of_the_legend_stay_inside_the_figure(make_row, make_set):
    kinds = ("no_op", "dm_direct", "dmm", "oracle_matching", "finetune")
    rows = [
        make_row(kind, (3.0, 1.0, 1.0), snapshots=snapshots_of(WAY) if kind == "dmm" else ())
        for kind in kinds
    ]
    figure = cost_figure([make_set({}, rows=tuple(rows))])
    (legend,) = figure.legends
    box = legend.get_window_extent(figure.canvas.get_renderer())
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert "snapshots" in [text.get_text() for text in legend.get_texts()][-1]


def test_snapshots_that_the_first_judge_has_not_judged_are_not_drawn(make_row, make_set):
    row = make_row("dmm", (0.81, 0.88, 0.72), snapshots=snapshots_of(WAY, judge="accuracy"))
    assert lines(cost_figure([make_set({}, rows=(row,))])) == []


def test_the_page_says_what_the_lines_are_where_there_are_any(set_with, make_report):
    with_lines, without = (render(make_report(set_with(("dmm", "dmm", way)))) for way in (WAY, []))
    assert "each small mark is a snapshot" in with_lines
    assert "snapshot" not in without
