"""Notes in Markdown on top of each page: a summary of the stage, and how to continue from there."""

import dataclasses
import itertools
import shlex
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from pipeline.graph.child_run import ChildRun
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.nodes.evaluate import VerdictNode
from pipeline.results.formatting import duration, of_retraining
from pipeline.results.tables import Table
from pipeline.results.tracked import MOST_IN_NOTE, Results
from pipeline.show.page import render_template
from pipeline.store.store import Store
from pipeline.tracking.compute_cost import spent_on
from pipeline.tracking.note_tables import note_table


def note_of(
    run: ChildRun, graph: Graph, store: Store, states: Mapping[str, NodeState], results: Results
) -> str:
    """Return the note of a child run: its purpose, its results, their cost, and the places of its tables.

    If it is too long for MLflow, the last rows of its table are left out.
    """
    spent, nodes, unlearners = (
        spent_on(store, states.values()),
        [state.node for state in states.values()],
        graph.experiment.unlearners,
    )
    note = partial(
        render_template,
        "note.md.j2",
        run=run,
        metrics=results.metrics,
        estimator=graph.experiment.estimator.name,
        verdict=next((node for node in nodes if isinstance(node, VerdictNode)), None),
        unlearners={label: unlearner.name for label, unlearner in unlearners.items()},
        cost=of_retraining(float(results.metrics["cost_fraction"]))
        if "cost_fraction" in results.metrics
        else "",
        core_time=duration(spent.core_seconds),
        hosts=spent.hosts,
        ended=""
        if spent.written_at is None
        else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(spent.written_at)),
        tables=[(key, str(state.folder)) for key, state in states.items()],
        store=store.uri,
        place=shlex.quote(store.uri),
    )
    table = note_table(nodes, graph, results)
    n_rows = sum(len(section.rows) for section in table.sections)
    return _first_that_fits(
        note(table=_without_last_rows(table, n_left), n_left=n_left) for n_left in range(n_rows + 1)
    )


def _first_that_fits(notes: Iterable[str]) -> str:
    """Return the first of the notes that is short enough for MLflow, or the last if all are too long."""
    written = ""
    for note in notes:
        written = note.strip() + "\n"
        if len(written) <= MOST_IN_NOTE:
            break
    return written


def _without_last_rows(table: Table, n_left: int) -> Table:
    sections = list(table.sections)
    while n_left and sections:
        rows = sections[-1].rows
        kept = rows[: max(0, len(rows) - n_left)]
        n_left -= len(rows) - len(kept)
        sections[-1:] = [dataclasses.replace(sections[-1], rows=kept)] if kept else []
    return dataclasses.replace(table, sections=tuple(sections))


def parent_note(
    *, headline: str, table: Table, verdicts: Mapping[str, str], links: Mapping[str, str], store: Store
) -> str:
    """Return the summary of an experiment.

    It holds a headline, the verdict on each forget set, the results, and links to its pages. If it is too
    long for MLflow, the links are left out, and then verdicts and results of the last forget sets.
    """
    n_sections = range(len(table.sections), 0, -1)
    shorter = [dataclasses.replace(table, sections=table.sections[:count]) for count in n_sections] or [table]

    def note(some: Table, linked: Mapping[str, str]) -> str:
        n_left = len(table.sections) - len(some.sections)
        first = dict(itertools.islice(verdicts.items(), max(1, len(verdicts) - n_left)))
        about: dict[str, Any] = {"headline": headline, "table": some, "verdicts": first, "links": linked}
        return render_template("parent_note.md.j2", **about, n_left=n_left, place=shlex.quote(store.uri))

    return _first_that_fits(note(*each) for each in [(table, links), *((one, {}) for one in shorter)])
