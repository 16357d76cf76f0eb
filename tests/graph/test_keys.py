"""A key only names a node.

No code parses or spells a key, and no key is part of an identity.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jobs.answers.attribution import predict_removal
from jobs.running.planning import planned_work
from jobs.running.until_enough import _count
from jobs.session import Session
from pipeline.graph.graph import Graph
from pipeline.graph.node import Node, Parent
from pipeline.tracking.pages import Pages
from pipeline.tracking.result_pages import result_rows

Open = Callable[..., Session]
ROOT = Path(__file__).parents[2]
TAKES_TEXT_APART = {
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
}
# Code that knows nodes. The keys of other rooms are those of a config.
ROOMS = ["graph", "accounts", "blueprint", "stages", "run", "view"]
A_KEY = re.compile(r"""(\bkey|\bchild|\[['"]node['"]\]|\.node)$""")


def of_other_keys(value: Any, keys: Mapping[str, str]) -> Any:
    """Return a value with every key in it replaced."""
    if isinstance(value, str):
        return keys.get(value, value)
    if isinstance(value, Parent):
        return replace(value, key=keys[value.key])
    if isinstance(value, tuple):
        return tuple(of_other_keys(part, keys) for part in value)
    return (
        {name: of_other_keys(part, keys) for name, part in value.items()}
        if isinstance(value, Mapping)
        else value
    )


def with_other_keys(session: Session) -> Session:
    """Return the same experiment under meaningless keys.

    They sort like the old ones, because MLflow's rows are sorted by key.
    """
    keys = {key: f"n{number:03d}" for number, key in enumerate(sorted(session.graph.nodes))}

    def other(node: Node) -> Node:
        return replace(
            node, **{field.name: of_other_keys(getattr(node, field.name), keys) for field in fields(node)}
        )

    nodes = {keys[key]: other(node) for key, node in session.graph.nodes.items()}
    return replace(session, graph=replace(session.graph, nodes=nodes))


def folders(graph: Graph, session: Session) -> list[tuple[str, str | None]]:
    return [(state.status, state.folder) for state in graph.survey(session.store).values()]


def seen(session: Session) -> dict[str, Any]:
    """Return what users see of a finished experiment, except keys and the free memory."""
    states = session.graph.survey(session.store)
    pages = Pages(session.graph, session.store)
    shown = {child: pages.results(child, states) for child in pages.children}
    return {
        "rows": result_rows(session.graph, session.store, states),
        "plan": planned_work(session)
        | {"feeds": None, "nodes": [row["forget_set"] for row in planned_work(session)["nodes"]]},
        "titles": pages.titles,
        "versions": {child: results.version for child, results in shown.items()},
        "metrics": {child: results.metrics for child, results in shown.items()},
        "tables": {child: results.tables for child, results in shown.items()},
        "tags": {child: results.tags for child, results in shown.items()},
        "models": [pages.model(child, states) is None for child in pages.titles],
        "removal": predict_removal(
            session, Console(quiet=True), label="some", top=2, picture=None, executor="serial"
        ),
        "n_models": _count(session),
    }


@pytest.mark.usefixtures("finished")
def test_everything_is_found_whatever_the_keys_are(open_tiny: Open) -> None:
    session = open_tiny()
    other = with_other_keys(session)
    assert folders(other.graph, session) == folders(session.graph, session)
    assert seen(other) == seen(session)


def keys_taken_apart(source: str) -> list[str]:
    """Return the calls in Python code that take the text of a key apart."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    attributes = [node.func for node in calls if isinstance(node.func, ast.Attribute)]
    return [
        ast.unparse(one)
        for one in attributes
        if one.attr in TAKES_TEXT_APART and A_KEY.search(ast.unparse(one.value))
    ]


@pytest.mark.parametrize(
    "call",
    [
        "key.split('/')",
        "state.node.key.startswith('train/')",
        "child.partition('/')",
        "row['node'].removesuffix('/some')",
    ],
)
def test_code_that_takes_a_key_apart_is_found(call: str) -> None:
    assert keys_taken_apart(f"label = {call}")


@pytest.mark.parametrize("room", ROOMS)
def test_no_code_takes_a_key_apart(room: str) -> None:
    found = [
        path for path in (ROOT / "pipeline").rglob("*.py") if room in path.parts or path.stem == room
    ] + [*(ROOT / "jobs").rglob("*.py")]
    assert {path.name: apart for path in found if (apart := keys_taken_apart(path.read_text()))} == {}
