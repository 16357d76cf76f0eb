"""A new stage needs one entry in a table: every command and MLflow then show it without further changes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from terminal import Dmm, answer, serial
from tiny import all_done, run_serially, statuses

from jobs import session as sessions
from jobs.running.planning import planned_work
from jobs.running.run_scope import scope_of
from jobs.session import Session, graph_of
from pipeline.config import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.registry import Plugin
from pipeline.data.examples import Examples
from pipeline.execution.selected_nodes import wanted_keys
from pipeline.graph import node_kinds as table
from pipeline.graph.child_run import ChildRun
from pipeline.graph.graph import Graph
from pipeline.graph.node import Node, Parent, Work
from pipeline.graph.nodes.effect import EffectNode
from pipeline.graph.nodes.unlearn import Unlearn
from pipeline.store.store import Shard
from pipeline.tracking.pages import Pages

Open = Callable[..., Session]


@dataclass(frozen=True, kw_only=True)
class Screening(Node):
    """How far a predicted effect moves the points of its forget set: a stage between effect and unlearn."""

    stage: ClassVar[str] = "screen"
    title: ClassVar[str] = "screen effects"
    entry: ClassVar[str] = "fit"
    unit: ClassVar[str] = "sets"

    effect_key: str

    @property
    def child(self) -> ChildRun:
        return ChildRun(
            name="screening", title="3 screening", note="**What is screened**, before anything is unlearned."
        )

    def settings(self) -> dict[str, Any]:
        return {}

    def plugins(self) -> tuple[Plugin, ...]:
        return ()

    def parents(self) -> dict[str, Parent]:
        return {"effect": Parent(self.effect_key)}

    def compute(self, work: Work) -> Shard:
        largest = np.abs(work.read("effect", ["mean"])["mean"]).max()
        return Shard(columns={"largest": largest[None]}, summary={"largest": float(largest)})


def with_screening(experiment: Experiment, examples: Examples) -> Graph:
    """Return the graph of an experiment with the new stage in it."""
    graph, nodes = graph_of(experiment, examples), {}
    for key, node in graph.nodes.items():
        nodes[key] = node
        if isinstance(node, EffectNode):
            key = f"screen/{node.forget_set}"
            nodes[key] = Screening(key=key, forget_set=node.forget_set, effect_key=node.key)
    return replace(graph, nodes=nodes)


@pytest.fixture
def open_screened(open_tiny: Open, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the tiny experiment with the new stage, which one line of the table announces."""
    place = table.NODES.index(Unlearn)
    monkeypatch.setattr(table, "NODES", (*table.NODES[:place], Screening, *table.NODES[place:]))
    monkeypatch.setattr(sessions, "graph_of", with_screening)

    def open_it(*overrides: str) -> Session:
        session = open_tiny(*overrides)
        return replace(session, graph=with_screening(session.experiment, session.examples))

    return open_it


def test_plan_and_the_stages_up_to_it_know_a_new_stage(open_screened: Open) -> None:
    session = open_screened()
    rows = {row["node"]: row for row in planned_work(session)["nodes"]}
    assert (rows["screen/some"]["forget_set"], rows["screen/some"]["unit"]) == ("some", "sets")
    until = wanted_keys(session.graph, "screen")
    assert {"screen/some", "screen/wrong", "effect/some"} <= until
    assert "unlearn/dmm/some" not in until


def test_an_entry_computes_a_new_stage(open_screened: Open) -> None:
    session = open_screened()
    run_serially(session, until="train")
    scope = scope_of("fit", session, allow_missing=False)
    assert all_done(run_serially(session, wanted=scope.wanted))
    assert {
        key for key, status in statuses(session).items() if key in scope.wanted and status != "done"
    } == set()
    assert statuses(session)["screen/some"] == "done"


@pytest.mark.usefixtures("finished", "open_screened")
def test_the_commands_run_and_show_a_new_stage(dmm: Dmm) -> None:
    status, _, err = dmm(*serial("run", "--until", "screen"))
    assert status == 0, err
    told = {
        row["node"]: row["status"]
        for row in answer(dmm("status", "tiny.yaml", "--store", "store", "--json")[1])["nodes"]
    }
    assert told["screen/some"] == told["screen/wrong"] == "done"
    assert "screen × 2 sets" in dmm("status", "--store", "store")[1]
    watched = dmm("watch", "tiny.yaml", "--store", "store", "--once")[1]
    assert (
        watched.index("predict effects") < watched.index("screen effects") < watched.index("unlearn models")
    )
    assert dmm("verify", "tiny.yaml", "--store", "store", "--json")[0] == 0


@pytest.mark.usefixtures("finished")
def test_mlflow_shows_the_child_run_that_a_new_stage_names(open_screened: Open) -> None:
    session = open_screened()
    run_serially(session)
    pages = Pages(session.graph, session.store)
    states = session.graph.survey(session.store)
    shown = pages.results("screening", states)
    assert list(pages.titles.values())[2:4] == ["3 attribution", "3 screening"]
    assert set(shown.metrics) == {"largest/screen/some", "largest/screen/wrong"}
    assert shown.note.startswith("**What is screened**")
    assert shown.tags == {"dmm.stage": "screening"}


def test_a_stage_that_is_in_no_table_is_unknown(open_tiny: Open) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown stage 'screen'; known: train, fit, .* \(forget, .*, effect, unlearn"
    ):
        wanted_keys(open_tiny().graph, "screen")
