"""Only the table model builds tables for display, and the generators of prose stay small."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOW = ROOT / "pipeline" / "show"
# A table in HTML, the line below the heading of one in Markdown, and the calls that make one of pandas.
TABLE_TEXT = re.compile(
    r"<t(able|head|body|r|d|h)\b|\|\s*:?-{3,}|\bto_(markdown|html)\b|\btabulate\b", re.IGNORECASE
)
# The files that hold the table model and draw it.
MODEL = [SHOW / name for name in ("markdown.py", "page.py", "terminal.py", "templates/show_table.html.j2")]
PROSE = ("*words.py", "verdict.py", "payback.py", "notes.py", "outcome*.py", "sentences.py", "phrases.py")


def sources(*patterns: str) -> Iterator[Path]:
    """Yield the files of both packages whose names match, those of the table model left out."""
    for package in ("pipeline", "jobs"):
        for pattern in patterns:
            yield from (path for path in (ROOT / package).rglob(pattern) if path not in MODEL)


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, and the names it takes from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}", *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def n_lines(path: Path) -> int:
    """Return how many lines of code a file has; blank lines, comments and docstrings do not count."""
    return len(ast.unparse(without_docstrings(ast.parse(path.read_text()))).splitlines())


def without_docstrings(tree: ast.Module) -> ast.Module:
    """Return tree with `pass` in the place of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return tree


def test_only_show_draws_tables_of_rich() -> None:
    makers = ("rich.table", "rich.columns", "rich.box", "rich.Table")
    found = {path.name: imported(path) & {*makers, "rich.table.Table"} for path in sources("*.py")}
    assert not {name: names for name, names in found.items() if names}


def test_only_show_writes_tables_in_html_or_markdown() -> None:
    found = [path for path in sources("*.py", "*.j2", "*.html") if TABLE_TEXT.search(path.read_text())]
    assert not found


@pytest.mark.parametrize(
    "text", ["<table>", '<td class="x">', "| --- | ---: |", "|:---|", "frame.to_markdown()"]
)
def test_a_table_that_is_written_by_hand_would_be_found(text: str) -> None:
    assert TABLE_TEXT.search(text)


def test_the_model_itself_draws_nothing() -> None:
    assert not {name.split(".")[0] for name in imported(ROOT / "pipeline/results/tables.py")} & {
        "rich",
        "jinja2",
        "markupsafe",
    }


def test_the_generators_of_prose_are_not_larger_than_the_unlearners() -> None:
    prose = {path.relative_to(ROOT): n_lines(path) for path in sources(*PROSE)}
    assert len(prose) >= 7
    assert sum(prose.values()) <= sum(
        n_lines(path) for path in (ROOT / "pipeline" / "unlearning").glob("*.py")
    ), prose
