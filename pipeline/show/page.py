"""Pages and notes from templates that escape all values, and tables as HTML."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.results.tables import Column, Table, one_line
from pipeline.show.colours import COLOURS
from pipeline.show.markdown import code_span, escape, table_markdown


def render_template(name: str, package: str = "pipeline.show", **values: Any) -> str:
    """Return the text of a template of package, filled with values.

    Templates of other packages may include and extend those of pipeline.show. Templates escape all values,
    and a missing value is an error.
    """
    loader = ChoiceLoader([PackageLoader(one) for one in dict.fromkeys(("pipeline.show", package))])
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"one_line": one_line, "literal": literal, "code": code, "markdown": markdown}
    made.globals |= {"table_html": table_html, "colours": COLOURS}
    return made.get_template(name).render(**values)


def literal(text: str) -> Markup:
    """Return text for the template of a note in Markdown, escaped so that the note shows it literally."""
    return Markup(escape(text))


def code(text: str) -> Markup:
    """Return text for the template of a note in Markdown, marked as code."""
    return Markup(code_span(text))


def markdown(table: Table) -> Markup:
    """Return a table in Markdown for the template of a note."""
    return Markup(table_markdown(table))


def table_html(table: Table) -> Markup:
    """Return a table as HTML: caption, headings in groups, sections, rows and notes."""
    groups = _groups(table.columns)
    # A line is drawn where a group of columns begins.
    starts = {first for heading, first, _ in groups if heading}
    return Markup(render_template("show_table.html.j2", table=table, groups=groups, starts=starts))


def _groups(columns: tuple[Column, ...]) -> list[tuple[str, int, int]]:
    """Return (heading, first column, number of columns) of each run of neighbouring columns of one group.

    Each column without a group is a run of its own.
    """
    found: list[tuple[str, int, int]] = []
    for place, column in enumerate(columns):
        if found and column.group and found[-1][0] == column.group:
            found[-1] = (column.group, found[-1][1], found[-1][2] + 1)
        else:
            found.append((column.group, place, 1))
    return found
