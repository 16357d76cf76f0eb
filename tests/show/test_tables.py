"""The table model: one contract for every renderer, and the formatting of numbers in columns."""

import io
import math
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from jobs.options import plain_console
from pipeline.core.errors import ShapeError
from pipeline.results.tables import (
    Cell,
    Column,
    Section,
    Table,
    Tone,
    mark_best,
    number,
    number_column,
    one_line,
    row_of,
    table_of,
)
from pipeline.show.markdown import table_markdown
from pipeline.show.page import table_html
from pipeline.show.terminal import TerminalTable

HOSTILE = [
    "[bold]x[/bold]",
    "a | b",
    "<script>alert(1)</script>",
    "*a* _b_ `c` ~~d~~",
    "[link](https://x)",
    "a:smile:b",
    "\\| &amp; &",
    "{{ 1 + 1 }} {% if x %}",
    "gradient_ascent",
]


class Texts(HTMLParser):
    """Collects the texts of a page, cell by cell, and the tags around them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells, self.tags, self.notes = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "th", "caption", "p"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells and data.strip():
            self.cells[-1] += f" {data}" if self.cells[-1] else data


def on_page(one: Table) -> str:
    return "\n".join(" ".join(cell.split()) for cell in Texts(table_html(one)).cells)


def in_note(one: Table) -> str:
    """Return what a reader of the Markdown sees: escapes and entities undone, and emphasis gone."""
    text = table_markdown(one).replace("&nbsp;", " ").replace("\\|", "\0")
    for sign in "\\`*[]~_:":
        text = text.replace(f"\\{sign}", f"\1{ord(sign)}\2")
    text = text.replace("*", "")
    for sign in "\\`*[]~_:":
        text = text.replace(f"\1{ord(sign)}\2", sign)
    for sign, entity in (("<", "&lt;"), (">", "&gt;"), ("&", "&amp;")):
        text = text.replace(entity, sign)
    return "\n".join(" ".join(line.split()) for line in text.replace("\0", "|").splitlines())


def on_terminal(one: Table, width: int = 200) -> str:
    out = io.StringIO()
    plain_console(file=out, width=width).print(TerminalTable(one))
    return "\n".join(" ".join(line.split()) for line in out.getvalue().splitlines())


RENDERERS: dict[str, Callable[[Table], str]] = {"page": on_page, "note": in_note, "terminal": on_terminal}
everywhere = pytest.mark.parametrize("render", RENDERERS.values(), ids=RENDERERS)


def full() -> Table:
    """Return a table that uses everything the model has."""
    columns = (
        Column("unlearner", note="who unlearns"),
        number_column("P95", digits=2, unit="nats", better="lower", group="KLoM"),
        number_column("mean", digits=2, unit="nats", group="KLoM"),
        number_column("accuracy", digits=1, unit="%", better="nearer", note="on validation"),
    )
    rows = (
        row_of("retraining", 0.62, 0.36, 97.1, tone=Tone.REFERENCE, competes=False),
        row_of(
            "dmm",
            Cell(value=0.81, interval=(0.7, 0.95), under=("1.3× floor",)),
            math.nan,
            Cell(value=96.4, reference=97.1),
        ),
        row_of(
            "finetune",
            Cell(value=8.95, shade=4, tone=Tone.BAD),
            None,
            Cell(value=98.9, reference=97.1, detail="±0"),
        ),
    )
    sections = (
        Section(title="coherent", note="15 points", anchor="set-0", rows=rows),
        Section(title="random", rows=rows[:1]),
    )
    return Table(
        columns=columns,
        sections=sections,
        caption="All numbers",
        section_heading="forget set",
        notes=("A note.",),
    )


@everywhere
@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_letter_by_letter_wherever_it_stands(
    render: Callable[[Table], str], text: str
) -> None:
    cell = Cell(value=text, detail=text, under=(text,))
    section = Section(title=text, rows=(row_of(cell, 1.0),))
    one = Table(
        columns=(Column(text, note=text), number_column(text)),
        sections=(section,),
        caption=text,
        section_heading=text,
        notes=(text,),
    )
    assert render(one).count(text) >= 9


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_has_no_tag_that_a_text_brought(text: str) -> None:
    plain, hostile = (
        Texts(table_html(table_of([Column(one)], [row_of(one)], caption=one))).tags for one in ("x", text)
    )
    assert hostile == plain


@pytest.mark.parametrize("text", HOSTILE)
def test_a_row_of_a_note_has_as_many_cells_as_its_heading(text: str) -> None:
    made = table_markdown(table_of([Column(text), number_column(text)], [row_of(text, 1.0)]))
    lines = [line for line in made.splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert {line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines} == {3}


@everywhere
def test_line_breaks_and_control_characters_become_blanks(render: Callable[[Table], str]) -> None:
    text = "a\nb\r\n\tc\x1b[31m\x00 d\u2028e"
    said = render(table_of([Column(text)], [row_of(text)], caption=text))
    assert said.count("a b c [31m d e") == 3
    assert "\x1b" not in said


@everywhere
def test_numbers_carry_the_digits_of_their_column_and_everything_is_shown(
    render: Callable[[Table], str],
) -> None:
    said = render(full())
    for part in (
        "All numbers",
        "forget set" if render is not on_page else "",
        "coherent",
        "random",
        "retraining",
        "A note.",
    ):
        assert part in said
    for part in (
        "P95, nats ↓",
        "0.81 (0.70 to 0.95)",
        "1.3× floor",
        "n/a",
        "—",
        "98.9 (97.1) ±0",
        "on validation",
    ):
        assert part in said
    assert "↓ lower is better" in said
    assert "≈ nearer to the reference is better" in said


@everywhere
@pytest.mark.parametrize("columns", [(Column("a"), number_column("b")), ()], ids=["no rows", "no columns"])
def test_an_empty_table_is_drawn(render: Callable[[Table], str], columns: tuple) -> None:
    one = table_of(columns, [], caption="nothing here", notes=["still a note"])
    assert one.is_empty
    assert "nothing here" in render(one)
    assert "still a note" in render(one)
    assert render(Table(columns=columns, caption="nothing here")).count("nothing here") == 1


@everywhere
def test_a_long_label_is_shown_to_its_end(render: Callable[[Table], str]) -> None:
    label = " ".join(f"word{place}" for place in range(80))
    said = render(table_of([Column("label"), number_column("value", digits=2)], [row_of(label, 1.5)]))
    assert all(f"word{place}" in said for place in range(80))
    assert "1.50" in said


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_terminal_of_any_width_cuts_nothing_and_is_never_exceeded(width: int) -> None:
    columns = [Column("unlearner"), *(number_column(f"column {place}", digits=2) for place in range(12))]
    one = table_of(columns, [row_of("gradient_ascent", *(100.0 + place for place in range(12)))])
    out = io.StringIO()
    plain_console(file=out, width=width).print(TerminalTable(one))
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "…" not in out.getvalue()
    assert all(f"{100 + place}.00" in out.getvalue() for place in range(12))


def test_a_wide_table_repeats_its_labels_in_every_part() -> None:
    columns = [Column("unlearner"), *(number_column(f"column {place}", digits=2) for place in range(12))]
    said = on_terminal(table_of(columns, [row_of("dmm", *map(float, range(12)))]), width=80)
    assert said.count("dmm") == said.count("unlearner") == 2


def test_numbers_stand_right_in_every_renderer() -> None:
    one = table_of([Column("a"), number_column("b", digits=1)], [row_of("x", 1.0), row_of("y", 1000.0)])
    assert table_html(one).count('class="number"') == 3
    assert table_markdown(one).splitlines()[1] == "| :--- | ---: |"
    out = io.StringIO()
    plain_console(file=out, width=40).print(TerminalTable(one))
    short, long = (line.rstrip() for line in out.getvalue().splitlines() if "x" in line or "y" in line)
    assert len(short) == len(long)


def test_the_best_of_each_section_is_marked_and_a_reference_never_is() -> None:
    marked = mark_best(full())
    best = [
        (number_of_row, place)
        for number_of_row, one in enumerate(marked.sections[0].rows)
        for place, cell in enumerate(one.cells)
        if cell.is_best
    ]
    assert best == [(1, 1), (1, 3)]
    assert not any(cell.is_best for cell in marked.sections[1].rows[0].cells)
    assert 'class="number best start"' in table_html(marked)
    assert "**0.81**" in table_markdown(marked)


@pytest.mark.parametrize(
    ("better", "values", "best"),
    [
        ("lower", (3.0, 1.0, 1.0), [1, 2]),
        ("higher", (3.0, 1.0, None), [0]),
        ("lower", (math.nan, math.inf, 5.0), [2]),
        ("lower", (math.nan, None, "text"), []),
        ("nearer", (3.0, 1.0, 2.2), []),
    ],
)
def test_what_is_best_follows_the_column(better, values, best) -> None:
    marked = mark_best(table_of([number_column("x", better=better)], [row_of(value) for value in values]))
    assert [place for place, one in enumerate(marked.sections[0].rows) if one.cells[0].is_best] == best


def test_a_column_known_only_as_data_is_enough() -> None:
    scores = [
        {"title": "auc", "unit": "", "digits": 3, "better": "nearer"},
        {"title": "relearning", "unit": "steps", "digits": 0, "better": "higher"},
    ]
    columns = [Column("unlearner"), *(number_column(**score) for score in scores)]
    one = mark_best(
        table_of(columns, [row_of("dmm", Cell(value=0.51, reference=0.5, interval=(0.49, 0.54)), 120)])
    )
    assert "0.510 (0.490 to 0.540; reference 0.500)" in on_page(one)
    assert "relearning, steps ↑" in on_terminal(one)


def test_a_bar_says_its_share_everywhere() -> None:
    one = table_of([Column("done")], [row_of(Cell(share=0.25)), row_of(Cell(share=7.0))])
    assert '<progress value="0.25">' in table_html(one)
    assert '<progress value="1">' in table_html(one)
    assert "25 %" in table_markdown(one)
    assert on_terminal(one).count("━") == 32


def test_a_row_with_another_number_of_cells_names_both_numbers() -> None:
    with pytest.raises(ShapeError, match=r"row 0 of section '' has 1 cells, and the table has 2 columns"):
        table_of([Column("a"), Column("b")], [row_of("only one")])


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234567, None, "1,234,567"),
        (-0.001, 2, "0.00"),
        (-1.5, 1, "−1.5"),
        (math.nan, 2, "n/a"),
        (math.inf, 2, "∞"),
        (-math.inf, None, "−∞"),
        (0, None, "0"),
        (-1000.0, 0, "−1,000"),
    ],
)
def test_a_number_is_written_alike_everywhere(value: float, digits: int | None, text: str) -> None:
    assert number(value, digits) == text


def test_a_column_may_write_its_numbers_in_its_own_way_but_not_what_is_none() -> None:
    column = number_column("cost", show=lambda value: f"{value:.0f} retrainings")
    assert [column.text(value) for value in (3.0, math.nan, None, "free")] == [
        "3 retrainings",
        "n/a",
        "—",
        "free",
    ]


def test_one_line_keeps_every_visible_letter() -> None:
    assert one_line("  a\u00a0— b  ") == "a — b"
