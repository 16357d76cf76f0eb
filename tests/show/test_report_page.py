"""The report needs no other file, agrees with the numbers, and has the same bytes for the same content."""

import dataclasses
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from drawn import render

from pipeline.core.errors import DataError, ShapeError
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.scores import Score
from pipeline.results.report_content import PopulationContent
from pipeline.results.score_tables import shade
from pipeline.show.report.report_tables import populations_table
from pipeline.show.report.report_words import verdict

HOSTILE = '<script>alert("$x$")</script>&'
VOID = {"meta", "img", "br"}


@pytest.fixture(scope="module")
def page(report) -> str:
    return render(report)


class Nesting(HTMLParser):
    """Reads a page strictly: every element is closed in its turn, every id is unique."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.ids, self.anchors = [], [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.anchors += [value[1:] for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_beside_it(page):
    assert "://" not in page
    assert "<script" not in page
    assert "@import" not in page
    sources = re.findall(r'(?:src|(?<!xlink:)href|xlink:href)="([^"]*)"', page)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert all(address.startswith("#") for address in re.findall(r"url\(([^)]*)\)", page))
    assert len(page) < 2_000_000


def test_the_page_is_well_formed_and_its_links_lead_somewhere(page):
    reader = Nesting()
    reader.feed(page)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert set(reader.anchors) <= set(reader.ids)


def test_the_verdict_comes_first_and_then_the_table(page, report):
    places = [
        page.index(f'id="{name}"')
        for name in ("verdict", "table", "cost", "margins", "images", "spent", "reading", "config")
    ]
    assert places == sorted(places)
    for content in report.sets:
        assert verdict(content).headline in page


def test_every_number_of_the_table_is_there_with_its_interval(page, report):
    for row in report.sets[0].rows:
        assert all(f"<b>{score.value:.2f}</b>" in page for score in row.scores["klom"].of("p95").values())
    for words in (
        "0.70 to 0.95",
        "mean KLoM 0.45",
        "1.3× floor",
        "1,740 outputs not finite",
        "97.2%",
        "−2.2 points",
    ):
        assert words in page


def test_flipped_labels_are_shown_with_the_true_one(page):
    assert 'class="flipped"><img src="data:image/png;base64,' in page
    assert "4 → 1" in page


def test_equal_reports_give_equal_bytes_whatever_the_users_own_style(page, report):
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "mine", "axes.facecolor": "red"}):
        assert render(report) == page


def test_labels_are_text_and_never_markup(make_set, make_row, make_report):
    rows = (
        make_row("dmm", (0.8, 0.6, 0.6), label=HOSTILE, plugin=HOSTILE),
        make_row("no_op", (9.0, 0.6, 0.6)),
    )
    content = make_set({}, label=HOSTILE, plugin=HOSTILE, rows=rows)
    page = render(
        make_report(
            content,
            title=HOSTILE,
            model=HOSTILE,
            config_yaml=HOSTILE,
            break_even=HOSTILE,
            provenance=((HOSTILE, HOSTILE),),
        )
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(") > 10
    reader = Nesting()
    reader.feed(page)
    assert reader.open == []


@pytest.mark.parametrize(
    "fields",
    [{"attribution": None, "populations": (), "break_even": "", "provenance": (), "config_yaml": ""}, {}],
    ids=["nothing known", "all known"],
)
def test_a_report_may_lack_almost_everything(make_set, make_report, fields):
    assert "No forget set was judged" in render(make_report(**fields))
    assert "no unlearner" in render(make_report(make_set({}, n_points=1), **fields)).lower()
    assert "dmm reaches the floor" in render(
        make_report(make_set({"dmm": (0.7, 0.6, 0.6)}, n_points=1), **fields)
    )


def test_lds_and_its_interval_may_be_missing(make_report):
    attribution = make_report().attribution
    page = render(make_report())
    assert "0.412" in page
    assert "(0.397 to 0.428)" in page
    assert "not measured" in render(
        make_report(attribution=dataclasses.replace(attribution, lds=None, lds_interval=None))
    )


def test_degenerate_margins_and_constant_images_are_drawn(make_set, make_row, make_report):
    broken = np.full((40, 4), np.nan)
    row = make_row("dmm", (11.51, 11.51, 11.51), margins=broken, points=np.full(4, 11.51))
    content = make_set({}, rows=(row,), before=broken, oracle=np.zeros((40, 4)), images=np.ones((4, 3, 3, 3)))
    page = render(make_report(content))
    assert "40 not finite" in page
    assert page.count("<img") == 4


def test_only_the_first_images_of_a_large_set_are_shown(make_set, make_report):
    page = render(make_report(make_set({}, n_points=75, images=np.zeros((75, 2, 2)))))
    assert page.count("<img") == 60
    assert "… and 15 more." in page


@pytest.mark.parametrize(
    ("value", "floor", "level"),
    [
        (0.6, 0.6, 0),
        (0.69, 0.6, 0),
        (1.0, 0.6, 1),
        (2.0, 0.6, 2),
        (4.0, 0.6, 3),
        (11.5, 0.6, 4),
        (np.nan, 0.6, 4),
        (0.13, 0.04, 0),
    ],
)
def test_shades_follow_the_distance_beyond_what_retraining_alone_makes(value, floor, level):
    assert shade(Score(statistic="p95", split="forget", value=value, reference=floor), KlomJudge()) == level


def test_content_refuses_arrays_over_other_points(make_set, make_row):
    with pytest.raises(DataError, match="has no points"):
        make_set({}, n_points=0)
    with pytest.raises(
        ShapeError, match=r"dmm.points of forget set 'coherent' covers 3 points, but the set has 4"
    ):
        make_set({}, rows=(make_row("dmm", (0.8, 0.6, 0.6), n_points=3),))


def test_without_a_datamodel_the_page_speaks_of_none(make_report, make_set):
    content = make_set({"no_op": (9.0, 0.6, 0.6), "finetune": (3.0, 0.6, 0.6)})
    page = render(make_report(content, attribution=None, break_even=""))
    assert "paid once" not in page
    assert "with datamodel" not in page
    assert "paid once" in render(make_report(make_set({"dmm": (0.8, 0.6, 0.6)})))


def test_oracles_keep_all_but_the_forget_set_and_times_that_nobody_knows_have_no_column():
    rows = (PopulationContent(role="oracle", n_models=4, points_kept=None, retrainings=4.0),)
    table = populations_table(rows)
    assert [column.title for column in table.columns] == [
        "Population",
        "Models",
        "Points kept by each",
        "Cost in retrainings",
    ]
    assert [cell.value for cell in table.sections[0].rows[0].cells] == [
        "oracle",
        4,
        "all but the forget set",
        4.0,
    ]
