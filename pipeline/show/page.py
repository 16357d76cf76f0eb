"""Pages and notes from templates that escape all values, and tables as HTML."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.results.tables import Cell, Column, Row, Section, Table, Tone, one_line
from pipeline.show.markdown import code_span, escape, table_markdown


def template_environment(*packages: str) -> Environment:
    """Return the templates of this room and of the packages.

    They escape all values, and a missing value is an error.
    """
    loader = ChoiceLoader([PackageLoader(package) for package in ("pipeline.show", *packages)])
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"one_line": one_line, "literal": literal, "code": code, "markdown": markdown}
    made.globals["table_html"] = table_html
    return made


def render_template(name: str, **values: Any) -> str:
    """Return a template filled with values."""
    return template_environment().get_template(name).render(**values)


def literal(text: str) -> Markup:
    """Return text for a template of a note, which shows it literally."""
    return Markup(escape(text))


def code(text: str) -> Markup:
    """Return text for a template of a note, which shows it as code."""
    return Markup(code_span(text))


def markdown(table: Table) -> Markup:
    """Return a table for a template of a note."""
    return Markup(table_markdown(table))


def table_html(table: Table) -> Markup:
    """Return a table as HTML: caption, headings in groups, sections, rows and notes."""
    groups = _groups(table.columns)
    return Markup(
        template_environment()
        .get_template("show_table.html.j2")
        .render(
            table=table,
            groups=groups,
            has_headings=any(column.group or column.heading for column in table.columns),
            has_groups=any(column.group for column in table.columns),
            starts=_starts(table.columns),
            heading_class=_heading_class,
            row_class=_row_class,
            cell_class=_cell_class,
            is_shown=_is_shown,
        )
    )


def _groups(columns: tuple[Column, ...]) -> list[tuple[str, int, int]]:
    """Return (heading, first column, number of columns) of neighbouring columns in one group.

    Columns without a group stand alone.
    """
    found: list[tuple[str, int, int]] = []
    for place, column in enumerate(columns):
        if found and column.group and found[-1][0] == column.group:
            found[-1] = (column.group, found[-1][1], found[-1][2] + 1)
        else:
            found.append((column.group, place, 1))
    return found


def _starts(columns: tuple[Column, ...]) -> set[int]:
    """Return the columns that begin a group, where a line is drawn."""
    return {first for heading, first, _ in _groups(columns) if heading}


def _is_shown(section: Section) -> bool:
    return bool(section.title or section.note)


def _heading_class(column: Column, *, starts: bool) -> str:
    return " ".join((["number"] if column.is_number else []) + (["start"] if starts else []))


def _row_class(row: Row) -> str:
    return " ".join(([] if row.tone is Tone.NEUTRAL else [str(row.tone)]) + (["best"] if row.is_best else []))


def _cell_class(cell: Cell, column: Column, *, starts: bool) -> str:
    names = ["number"] if column.is_number else []
    names += [str(cell.tone)] if cell.tone is not Tone.NEUTRAL else []
    names += [f"s{cell.shade}"] if cell.shade else []
    names += ["best"] if cell.is_best else []
    return " ".join(names + (["start"] if starts else []))
