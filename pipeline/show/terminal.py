"""Tables on a terminal; a table that is too wide is drawn in parts, and no number is cut."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from pipeline.results.tables import Cell, Column, Row, Section, Table, Tone, one_line

STYLES = {
    Tone.NEUTRAL: "",
    Tone.GOOD: "green",
    Tone.WARNING: "yellow",
    Tone.BAD: "red",
    Tone.NEW: "cyan",
    Tone.OLD: "magenta",
    Tone.MUTED: "dim",
    Tone.REFERENCE: "italic",
}
# In characters: the width of a bar, the space between two columns, and the space at both edges together.
BAR_WIDTH, _BETWEEN, EDGES = 16, 2, 2
INDENT = "  "


class TerminalTable:
    """A table for a console of the rich library: caption, parts that fit the window, and notes."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the parts of the table for a console of this width."""
        table = self._table
        if table.caption:
            yield Text(one_line(table.caption), "italic")
        grid = _grid(table)
        for columns in _parts(grid, table, options.max_width):
            yield _drawn(grid, table, columns, options.max_width)
        for note in table.footnotes:
            yield Text(note, "dim")


def _grid(table: Table) -> list[list[list[Text]]]:
    """Return the texts of all cells by section and row; a section's title is a row of its own."""
    return [_section(section, table) for section in table.sections if section.rows or section.title]


def _section(section: Section, table: Table) -> list[list[Text]]:
    rows = [list(_texts(row, table)) for row in section.rows]
    if not (table.has_sections and table.columns):
        return rows
    title = Text(one_line(section.title), "bold")
    if section.note:
        title = Text.assemble(title, " ", (one_line(section.note), "dim"))
    indented = [[_indented(first), *others] for first, *others in rows]
    return [[title, *(Text() for _ in table.columns[1:])], *indented]


def _indented(text: Text) -> Text:
    return Text("\n").join(Text.assemble(INDENT, line) for line in text.split("\n"))


def _texts(row: Row, table: Table) -> Iterator[Text]:
    for cell, column in zip(row.cells, table.columns, strict=True):
        yield _text(cell, column, row)


def _text(cell: Cell, column: Column, row: Row) -> Text:
    """Return a cell: its value, then the small print, dimmed."""
    style = STYLES[row.tone if cell.tone is Tone.NEUTRAL else cell.tone]
    style += " bold" if cell.is_best or row.is_best else ""
    made = _bar(cell.share) if cell.share is not None else Text(column.text(cell.value), style.strip())
    beside = cell.beside(column)
    if beside:
        made = Text.assemble(made, " " if made.plain else "", (beside, "dim"))
    for line in cell.under:
        made = Text.assemble(made, "\n", (one_line(line), "dim"))
    return made


def _bar(share: float) -> Text:
    done = round(BAR_WIDTH * min(max(share, 0.0), 1.0))
    return Text.assemble(("━" * done, "green" if share >= 1 else "bold"), ("━" * (BAR_WIDTH - done), "dim"))


def _headings(table: Table) -> list[str]:
    """Return the heading of each column, below the heading of its group.

    If the table has sections, the first column is headed by the heading of the sections instead of a group.
    """
    above = [one_line(column.group) for column in table.columns]
    headings = [column.heading for column in table.columns]
    if table.has_sections and headings:
        above[0], headings[0] = one_line(table.section_heading), f"{INDENT}{headings[0]}"
    return [f"{over}\n{heading}" if over else heading for over, heading in zip(above, headings, strict=True)]


def _parts(grid: Sequence[Sequence[Sequence[Text]]], table: Table, width: int) -> list[list[int]]:
    """Return the column numbers of each part of a table that may be wider than width characters.

    Each part repeats the columns before the first column of numbers; then come as many others as fit.
    """
    headings, is_number = _headings(table), [column.is_number for column in table.columns]
    widths = [max(cell_len(line) for line in f"{heading} ".splitlines()) - 1 for heading in headings]
    for section in grid:
        for cells in section:
            widths = [
                max(most, *map(cell_len, text.plain.split("\n")))
                for most, text in zip(widths, cells, strict=True)
            ]
    n_leading = next((place for place, numeric in enumerate(is_number) if numeric), len(headings))
    leading = list(range(n_leading))
    room = width - EDGES - sum(widths[place] + _BETWEEN for place in leading)
    # Words may wrap: if they alone fill the window, numbers still get half of it.
    room = max(room, width // 2)
    parts: list[list[int]] = [[]]
    for place in range(n_leading, len(headings)):
        used = sum(widths[other] + _BETWEEN for other in parts[-1])
        if parts[-1] and used + widths[place] > room:
            parts.append([])
        parts[-1].append(place)
    return [leading + part for part in parts]


def _drawn(
    grid: Sequence[Sequence[Sequence[Text]]], table: Table, columns: Sequence[int], width: int
) -> RichTable:
    drawn = RichTable(
        header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=True
    )
    headings, is_number = _headings(table), [column.is_number for column in table.columns]
    for place in columns:
        drawn.add_column(
            Text(headings[place]),
            justify="right" if is_number[place] else "left",
            overflow="fold",
            vertical="top",
        )
    for section in grid:
        for cells in section:
            drawn.add_row(*(cells[place] for place in columns))
        drawn.add_section()
    return drawn
