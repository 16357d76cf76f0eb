"""Tables in Markdown for MLflow's notes and for README files."""

import re

from pipeline.results.tables import Cell, Column, Row, Table, Tone, one_line

# A space that Markdown keeps. MLflow draws no space between cells and none below a table.
_GAP = "&nbsp;"
# Signs for tones, because Markdown has no colours.
_MARKS = {Tone.GOOD: "✓", Tone.WARNING: "⚠", Tone.BAD: "✗"}
_SIGNS = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Characters with a meaning in Markdown, which are escaped. An underscore inside a word has no meaning, so it
# stays as it is; labels have many.
MEANING = re.compile(r"([\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])|:(?=\w))")


def escape(text: str) -> str:
    """Return text escaped for Markdown, which then shows it literally on one line."""
    safe = "".join(_SIGNS.get(letter, letter) for letter in one_line(text))
    return MEANING.sub(r"\\\1", safe)


def code_span(text: str) -> str:
    """Return text as code in Markdown, shown literally whatever backticks it holds."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence, room = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{room}{text}{room}{fence}"


def table_markdown(table: Table) -> str:
    """Return a table in Markdown: caption, rows and notes; numbers are right-aligned, the best are bold."""
    columns = table.columns
    first = [escape(table.section_heading)] if table.has_sections else []
    heads = [*first, *(_heading(column) for column in columns)]
    sides = [*(":---" for _ in first), *("---:" if column.is_number else ":---" for column in columns)]
    rows = [
        [*([escape(section.title)] if table.has_sections else []), *_cells(row, columns)]
        for section in table.sections
        for row in section.rows
    ]
    lines = [_line(heads), f"| {' | '.join(sides)} |", *(_line(cells) for cells in rows)]
    caption = [f"**{escape(table.caption)}**"] if table.caption else []
    notes = [escape(note) for note in table.footnotes]
    return "\n\n".join([*caption, "\n".join(lines), _GAP, *notes])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(f"{_GAP}{cell}{_GAP}" for cell in cells) + " |"


def _heading(column: Column) -> str:
    return escape(f"{column.group}: {column.heading}" if column.group else column.heading)


def _cells(row: Row, columns: tuple[Column, ...]) -> list[str]:
    return [_cell(cell, column, row) for cell, column in zip(row.cells, columns, strict=True)]


def _cell(cell: Cell, column: Column, row: Row) -> str:
    text = escape(column.text(cell.value)) if cell.share is None else f"{100 * cell.share:.0f} %"
    if text and (cell.is_best or row.is_best):
        text = f"**{text}**"
    elif text and Tone.REFERENCE in (cell.tone, row.tone):
        text = f"*{text}*"
    mark = _MARKS.get(cell.tone, "")
    first = _GAP.join(part for part in (mark, text, escape(cell.beside(column))) if part)
    return " · ".join([first, *(escape(line) for line in cell.under)])
