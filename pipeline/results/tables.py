"""The table model: columns and sections of rows, independent of the renderers.

Columns are data, so a table can have columns that are not known in advance; cells hold numbers, not text, and
each column formats its numbers. The renderers are page.table_html, markdown.table_markdown and
terminal.TerminalTable; each shows all content of a table.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Literal

from pipeline.core.errors import ShapeError

# Texts for a value that does not apply, and for one that is not a number.
NOT_APPLICABLE, NOT_A_NUMBER = "—", "n/a"
# The darkest shade of a cell; 0 is no shade.
DARKEST = 4

Value = str | int | float | None
_Better = Literal["lower", "higher", "nearer"]
ARROWS: Mapping[_Better, str] = {"lower": "↓", "higher": "↑", "nearer": "≈"}
ARROW_NOTES: Mapping[_Better, str] = {
    "lower": "↓ lower is better",
    "higher": "↑ higher is better",
    "nearer": "≈ nearer to the reference is better",
}


class Tone(StrEnum):
    """The meaning of a row or cell; each renderer has a colour or a sign for it."""

    NEUTRAL = "neutral"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    NEW = "new"
    OLD = "old"
    MUTED = "muted"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Column:
    """One column of words, or of numbers if is_number is true.

    group is the heading over neighbouring columns of the same group. unit stands in the heading. digits is
    the number of decimals. show, if given, turns a number into text instead. better says which values are
    better: lower ones, higher ones, or those nearer to the cell's reference. note explains the column below
    the table.
    """

    title: str = ""
    _: KW_ONLY
    group: str = ""
    unit: str = ""
    is_number: bool = False
    digits: int | None = None
    show: Callable[[float], str] | None = None
    better: _Better | None = None
    note: str = ""

    @property
    def heading(self) -> str:
        """The title, the unit and an arrow for what is better."""
        with_unit = f"{self.title}, {self.unit}" if self.title and self.unit else self.title or self.unit
        return one_line(f"{with_unit} {ARROWS[self.better]}" if self.better else with_unit)

    def text(self, value: Value) -> str:
        """Return a value as this column writes it."""
        if value is None:
            return NOT_APPLICABLE
        if isinstance(value, str):
            return one_line(value)
        if self.show is not None and not math.isnan(value):
            return one_line(self.show(value))
        return number(value, self.digits)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell.

    value is a number, a text, or None if nothing applies. interval (low, high) and reference are in the
    column's unit; the reference stands in brackets. detail stands beside the value and under stands below it,
    both in small print. shade, from 0 to 4, says how dark the cell is. share, from 0 to 1, is shown as a bar
    or in percent, in place of the value.
    """

    value: Value = None
    interval: tuple[int | float, int | float] | None = None
    reference: int | float | None = None
    detail: str = ""
    under: tuple[str, ...] = ()
    tone: Tone = Tone.NEUTRAL
    shade: int = 0
    is_best: bool = False
    share: int | float | None = None

    def beside(self, column: Column) -> str:
        """Return the small print beside the value: interval and reference in brackets, then the detail."""
        parts = [] if self.interval is None else [" to ".join(map(column.text, self.interval))]
        if self.reference is not None:
            parts.append(("reference " if parts else "") + column.text(self.reference))
        return " ".join([f"({'; '.join(parts)})" if parts else "", one_line(self.detail)]).strip()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row, with a cell for each column; competes tells whether mark_best may mark its cells."""

    cells: tuple[Cell, ...]
    tone: Tone = Tone.NEUTRAL
    is_best: bool = False
    competes: bool = True


@dataclass(frozen=True, kw_only=True)
class Section:
    """Rows under one heading; anchor is an id for links on a page."""

    title: str = ""
    note: str = ""
    anchor: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a caption above and notes below.

    section_heading says what the titles of the sections are, such as `Forget set`.
    Raises ShapeError if the number of cells in a row is not the number of columns.
    """

    columns: tuple[Column, ...]
    sections: tuple[Section, ...] = ()
    caption: str = ""
    section_heading: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for section in self.sections:
            for place, row in enumerate(section.rows):
                if len(row.cells) != len(self.columns):
                    raise ShapeError(
                        f"row {place} of section {section.title!r} has {len(row.cells)} cells, and the table "
                        f"has {len(self.columns)} columns; give one cell for each column"
                    )

    @property
    def has_sections(self) -> bool:
        """Whether any section has a title."""
        return any(section.title for section in self.sections)

    @property
    def is_empty(self) -> bool:
        """Whether there is no row."""
        return not any(section.rows for section in self.sections)

    @property
    def footnotes(self) -> tuple[str, ...]:
        """The text below the table: its notes, those of its columns, and the meaning of the arrows."""
        columns = [f"{column.heading}: {column.note}" for column in self.columns if column.note]
        arrows = dict.fromkeys(ARROW_NOTES[column.better] for column in self.columns if column.better)
        legend = f"{', '.join(arrows)}." if arrows else ""
        return tuple(one_line(note) for note in (*self.notes, *dict.fromkeys(columns), legend) if note)


# A column of numbers, which are aligned to the right.
number_column = partial(Column, is_number=True)


def row_of(
    *cells: Cell | Value, tone: Tone = Tone.NEUTRAL, is_best: bool = False, competes: bool = True
) -> Row:
    """Return a row of cells; a bare value is a cell without small print."""
    made = tuple(cell if isinstance(cell, Cell) else Cell(value=cell) for cell in cells)
    return Row(cells=made, tone=tone, is_best=is_best, competes=competes)


def table_of(
    columns: Sequence[Column], rows: Iterable[Row], *, caption: str = "", notes: Sequence[str] = ()
) -> Table:
    """Return a table without sections."""
    return Table(
        columns=tuple(columns), sections=(Section(rows=tuple(rows)),), caption=caption, notes=tuple(notes)
    )


def number(value: int | float, digits: int | None = None) -> str:
    """Return a number as text, such as `−1,234.5`, with digits decimals (all if None).

    NaN is `n/a`, an infinite number is `∞`, and a number that rounds to zero has no sign.
    """
    if math.isnan(value):
        return NOT_A_NUMBER
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,}" if digits is None else f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", "−")


def one_line(text: str) -> str:
    """Return text on one line; line breaks, tabs and control characters become blanks."""
    cleaned = "".join(
        " " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text
    )
    return " ".join(cleaned.split())


def mark_best(table: Table) -> Table:
    """Return the table with the best values of each section marked.

    Only columns that say what is better are marked. Rows that do not compete, texts and values that are not
    finite are left out. Equal values are all marked.
    """
    return replace(table, sections=tuple(_with_best(section, table.columns) for section in table.sections))


def _with_best(section: Section, columns: Sequence[Column]) -> Section:
    best = {
        place: _best(section, place, column.better) for place, column in enumerate(columns) if column.better
    }
    rows = []
    for number_of_row, one in enumerate(section.rows):
        marked = (number_of_row in best.get(place, set()) for place in range(len(columns)))
        cells = (
            replace(cell, is_best=cell.is_best or is_best)
            for cell, is_best in zip(one.cells, marked, strict=True)
        )
        rows.append(replace(one, cells=tuple(cells)))
    return replace(section, rows=tuple(rows))


def _best(section: Section, place: int, better: _Better) -> set[int]:
    """Return the indices of the rows whose value in column number place is the best."""
    losses = {
        index: loss
        for index, one in enumerate(section.rows)
        if one.competes and math.isfinite(loss := _loss(one.cells[place], better))
    }
    return {index for index, loss in losses.items() if loss == min(losses.values())}


def _loss(cell: Cell, better: _Better) -> float:
    """Return a number that is lowest for the best cell; NaN if the cell has no number to compare."""
    if not isinstance(cell.value, int | float):
        return math.nan
    if better == "nearer":
        return math.nan if cell.reference is None else abs(cell.value - cell.reference)
    return float(cell.value) if better == "lower" else -float(cell.value)
