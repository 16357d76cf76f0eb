"""Notes in Markdown on top of each page: what a reader sees first of a stage, and how to go on from there."""

import dataclasses
import shlex
import time
from collections.abc import Mapping
from typing import Any

from pipeline.graph import Graph, NodeState
from pipeline.reporting.formatting import duration, of_retraining
from pipeline.runtime.store import Store
from pipeline.runtime.tracker import MOST_IN_NOTE, Results
from pipeline.show.page import render_template
from pipeline.show.tables import Table
from pipeline.stages.child_run import ChildRun
from pipeline.stages.evaluate import Verdict
from pipeline.view.note_tables import note_table
from pipeline.view.spent import spent_on


def note_of(run: ChildRun, graph: Graph, store: Store, states: Mapping[str, NodeState], results: Results) -> str:
    """Return what a child run is, what it made, what that cost, and where its tables are."""
    spent, nodes, unlearners = spent_on(store, states.values()), [state.node for state in states.values()], graph.experiment.unlearners
    return render_template(
        "note.md.j2",
        run=run,
        metrics=results.metrics,
        estimator=graph.experiment.estimator.name,
        verdict=next((node for node in nodes if isinstance(node, Verdict)), None),
        unlearners={label: unlearner.name for label, unlearner in unlearners.items()},
        cost=of_retraining(float(results.metrics["cost_fraction"])) if "cost_fraction" in results.metrics else "",
        core_time=duration(spent.core_seconds),
        hosts=spent.hosts,
        ended="" if spent.written_at is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(spent.written_at)),
        table=note_table(nodes, graph, results),
        tables=[(key, str(state.folder)) for key, state in states.items()],
        store=store.uri,
        place=shlex.quote(store.uri),
    )


def parent_note(*, headline: str, table: Table, verdicts: Mapping[str, str], links: Mapping[str, str], store: Store) -> str:
    """Return the summary of an experiment: a headline, the verdict on each forget set, the results, and links to its pages.

    Where MLflow would cut it off, the links are left out, and then the results of the last forget sets.
    """
    n_sections = range(len(table.sections), 0, -1)
    shorter = [dataclasses.replace(table, sections=table.sections[:count]) for count in n_sections] or [table]
    for some, linked in [(table, links), *((one, {}) for one in shorter)]:
        about: dict[str, Any] = {"headline": headline, "table": some, "verdicts": verdicts, "links": linked}
        n_left = len(table.sections) - len(some.sections)
        note = render_template("parent_note.md.j2", **about, n_left=n_left, place=shlex.quote(store.uri))
        if len(note) <= MOST_IN_NOTE:
            break
    return note
