"""`dmm convex`: the convex study of an experiment, apart from everything else of it."""

import time
from typing import Any

from rich.console import Console

from jobs.commands import verbs
from jobs.commands.listing import show_failures
from jobs.commands.options import DONE, FAILED, Config, ExecutorName, Json, Set, StoreUri, finish, paper, screen
from jobs.session import Session, open_session
from pipeline.blueprint.convex import CONVEX_PAGE
from pipeline.core.errors import ConfigError
from pipeline.graph import NodeState
from pipeline.reporting.convex.amounts import amount, share
from pipeline.reporting.convex.names import algorithm_name, removal_name
from pipeline.reporting.convex.tables import promise_cell
from pipeline.run import with_what_they_rest_on
from pipeline.show.tables import Cell, number_column, row_of, table_of, word_column
from pipeline.show.terminal import TerminalTable
from pipeline.stages.convex_data import ConvexData
from pipeline.stages.convex_guarantees import ConvexGuarantees
from pipeline.stages.convex_linear import LinearPanel
from pipeline.stages.convex_node import ConvexNode
from pipeline.stages.convex_page import PAGE

# Steps at which the paper's curves are quoted.
QUOTED = (1, 2, 3, 5, 10, 17, 50, 153, 200, 300)
TOLD = ("stated_step", "best_step", "steps_to", "plateau", "earlier", "mean_leverage", "rates", "deviation_from_theorem_1")
SHOWN = ("gd", "om", "omrs", "dmm_exact", "dmm_datamodels", "dmm_influence")


def convex(config: Config = None, set_: Set = None, store: StoreUri = None, executor: ExecutorName = "ray", json_: Json = False) -> None:
    """Study unlearning where theory lives: every algorithm on convex problems, beside the exact retrained minimiser."""
    begun = time.monotonic()
    session = open_session(config, set_ or (), store, demonstration="convex")
    if session.experiment.convex is None:
        place = config or "the demonstration as set here"
        raise ConfigError(f"{place} has no section `convex`, so there is no study to run; add `convex: {{}}` for the default one, or leave the config out")
    wanted = with_what_they_rest_on(session.graph, [CONVEX_PAGE])
    result = verbs.run(session, screen, executor=executor, wanted=wanted)
    states = session.graph.survey(session.store)
    page = publish(session, screen, states[CONVEX_PAGE])
    found = _found(session, states)
    _show(session, states, paper(), page)
    show_failures(result, paper())
    about = {"page": page, "seconds": round(time.monotonic() - begun, 2), "failures": result.to_json()["failures"], "unfinished": result.unfinished}
    finish(found | about, json_, DONE if result.succeeded else FAILED)


def publish(session: Session, screen: Console, state: NodeState) -> str | None:
    """Copy the finished page to a name that people find, and return its path; None while there is none."""
    return verbs.publish(session, screen, state, PAGE, f"convex-{session.experiment.name}.html")


def _found(session: Session, states: dict[str, NodeState]) -> dict[str, Any]:
    """Return R by panel, algorithm and step at the stated step size, its standard deviation over draws, and what the panels found, JSON-ready."""
    shares: dict[str, dict[str, dict[str, float]]] = {}
    spreads: dict[str, dict[str, dict[str, float]]] = {}
    panels: dict[str, Any] = {}
    for place, state in _finished(states, LinearPanel).items():
        found, columns = session.store.summary(state.table), session.store.read(state.table)
        panels[place] = {name: found[name] for name in TOLD}
        quoted = [step for step in QUOTED if step < len(columns["step"])]
        for mode in ("full", "stochastic"):
            for name in found["n_used"]:
                mean, spread = (columns[f"{mode}.{name}.stated.{statistic}"] for statistic in ("mean", "sd"))
                shares.setdefault(f"{place}/{mode}", {})[name] = {str(step): float(mean[step]) for step in quoted}
                spreads.setdefault(f"{place}/{mode}", {})[name] = {str(step): float(spread[step]) for step in quoted}
    worst = max((panel["deviation_from_theorem_1"] for panel in panels.values()), default=None)
    theirs = {"R": shares, "R_sd": spreads, "worst_deviation_from_theorem_1": worst, "panels": panels}
    return theirs | {"data": _summaries(session, states, ConvexData), "guarantees": _summaries(session, states, ConvexGuarantees)}


def _summaries(session: Session, states: dict[str, NodeState], kind: type[ConvexNode]) -> dict[str, Any]:
    """Return what finished nodes of one kind found, by what results call them."""
    return {place: session.store.summary(state.table) for place, state in _finished(states, kind).items()}


def _finished(states: dict[str, NodeState], kind: type[ConvexNode]) -> dict[str, NodeState]:
    """Return the finished nodes of one kind by what results call them."""
    return {state.node.place: state for state in states.values() if isinstance(state.node, kind) and state.status == "done"}


def _show(session: Session, states: dict[str, NodeState], console: Console, page: str | None) -> None:
    panels = _finished(states, LinearPanel)
    if panels:
        about = [(place, session.store.summary(state.table), session.store.read(state.table)) for place, state in panels.items()]
        columns = (word_column("algorithm"), *(number_column(place) for place, _, _ in about))
        rows = [
            row_of(algorithm_name(name), *(_cell(found["steps_to"][name]["0.01"], float(read[f"stochastic.{name}.best.mean"][-1])) for _, found, read in about))
            for name in SHOWN
        ]
        caption = "full-batch steps until R ≤ 10⁻², and in brackets R after all stochastic steps"
        console.print(TerminalTable(table_of(columns, rows, caption=caption)))
    for label, told in _summaries(session, states, ConvexData).items():
        columns = (word_column("removal"), number_column("R", show=amount), number_column("KLoM", digits=2, unit="nats"))
        rows = [row_of(removal_name(outcome["label"]), outcome["share"], outcome["klom"]["forget"]["p95"]) for outcome in told["outcomes"]]
        caption = f"{label}: R and P95 KLoM on forgotten points at the end"
        console.print(TerminalTable(table_of(columns, rows, caption=caption)))
    for told in _summaries(session, states, ConvexGuarantees).values():
        rows = [row_of(f"{case['method']}: {case['situation']}", promise_cell(is_broken=case["verdict"]["is_broken"])) for case in told["cases"]]
        console.print(TerminalTable(table_of((word_column("situation"), word_column("promise")), rows, caption="promises under the strongest attack")))
    if page is not None:
        console.print(f"Page:    {page}", soft_wrap=True)


def _cell(steps: int | None, left: float) -> Cell:
    return Cell(value=steps, detail=f"({share(left)})")
