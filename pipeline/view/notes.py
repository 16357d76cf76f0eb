"""Notes in Markdown on top of each page: what a reader sees first of a stage, and how to go on from there."""

import itertools
import shlex
import time
from collections.abc import Mapping, Sequence

from pipeline.graph import Graph, NodeState
from pipeline.reporting.formatting import duration, of_retraining
from pipeline.runtime.store import Store
from pipeline.runtime.tracker import MOST_OF_NOTE, Results
from pipeline.show.page import render_template
from pipeline.show.tables import Table
from pipeline.stages.child_run import ChildRun
from pipeline.stages.evaluate import Verdict
from pipeline.view.note_tables import note_table
from pipeline.view.spent import spent_on

# Links of a note that has room for a few only.
FEW_LINKS = 8


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


def parent_note(
    *,
    headline: str,
    tables: Sequence[Table],
    verdicts: Mapping[str, str],
    links: Mapping[str, str],
    store: Store,
) -> str:
    """Return the summary of an experiment: the verdict on each forget set, the results, and links to its pages.

    tables hold the results, the widest first. Servers cut a note that is too long, so a note that would be
    gets the next table, then fewer links, and then no table.
    """
    few, place = dict(itertools.islice(links.items(), FEW_LINKS)), shlex.quote(store.uri)
    note = ""
    for table, shown in [*((table, links) for table in tables), (tables[-1], few), (Table(columns=()), few)]:
        note = render_template(
            "parent_note.md.j2",
            headline=headline,
            verdicts=verdicts,
            table=table,
            links=shown,
            n_more=len(links) - len(shown),
            place=place,
        )
        if len(note) <= MOST_OF_NOTE:
            break
    return note
