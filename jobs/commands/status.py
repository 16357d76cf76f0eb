"""`dmm status`: the state of an experiment, or of all experiments in a store."""

from typing import Any

from rich.console import Console

from jobs.options import DONE, FAILED, Config, Json, Set, StoreUri, finish, paper, screen
from jobs.running.experiment_index import failed_shard, recorded
from jobs.running.node_rows import about, grouped
from jobs.running.store_presence import why_no_store
from jobs.session import Session, open_session
from pipeline.execution.failures import read_failures
from pipeline.graph.builders.experiment_graph import UNKNOWN
from pipeline.results.tables import Column, number_column, row_of, table_of
from pipeline.show.terminal import TerminalTable
from pipeline.store.store import Store

NOT_READ = (
    "the input files were not read since they last changed in size or time, so the state "
    "of the tables that use them is unknown; run `dmm plan` to read them now, or `dmm "
    "run`, which also records the result for `dmm status`"
)


def status(config: Config = None, set_: Set = None, store: StoreUri = None, json_: Json = False) -> None:
    """Show what of an experiment is done, partial, missing, stale or waiting. Computes nothing.

    With --store alone, shows every experiment that was run in the store.
    """
    if config is None and store is not None and not set_:
        found = recorded(Store(store))
        show_recorded(found, paper())
        for path in found["damaged"]:
            screen.print(
                f"{path} is damaged; remove it, and the next run writes it again",
                style="yellow",
                soft_wrap=True,
            )
        finish(found, json_, DONE if found["experiments"] else FAILED)
    result = read_status(open_session(config, set_ or (), store, reads_inputs=False))
    show_status(result, paper())
    finish(result, json_, DONE)


def read_status(session: Session) -> dict[str, Any]:
    """Return the state of every node, and the shards that were given up and are still missing.

    These shards may have been given up by runs on any machine.
    """
    states = session.graph.survey(session.store)
    nodes = [
        about(state)
        | {
            "stage": state.node.stage,
            "done": state.n_done,
            "wanted": state.node.n_units,
            "folder": state.folder,
        }
        for state in states.values()
    ]
    failed = [failed_shard(failure) for failure in read_failures(session.store, states.values())]
    return {
        "store": session.store.uri,
        "complete": all(state.status == "done" for state in states.values()),
        "nothing_there": why_no_store(session.store),
        "notices": [NOT_READ] if session.graph.data_digest is None or session.graph.digest == UNKNOWN else [],
        "failed_shards": failed,
        "nodes": nodes,
    }


def show_recorded(result: dict[str, Any], console: Console) -> None:
    """Print the status of every experiment that was run in a store."""
    for experiment in result["experiments"]:
        title = f"{experiment['name']} (digest {experiment['digest']}) in store {result['store']}"
        show_status(experiment | {"store": result["store"]}, console, title=title)


def show_status(result: dict[str, Any], console: Console, *, title: str | None = None) -> None:
    """Print one row for each node; nodes that differ only in their forget set share a row."""
    console.print(title or f"store {result['store']}", style="italic", soft_wrap=True)
    columns = (
        Column("node"),
        Column("status"),
        number_column("done"),
        number_column("wanted"),
        Column("unit"),
    )
    rows = [
        row_of(each["node"], each["status"], each["done"], each["wanted"], each["unit"])
        for each in grouped(result["nodes"], ("done", "wanted"))
    ]
    console.print(TerminalTable(table_of(columns, rows)))
    for shard in result.get("failed_shards", []):
        words = (
            f"failed shard: {shard['node']} {shard['start']}-{shard['stop']}, given up after "
            f"{shard['tries']} tries: {shard['error']}"
        )
        console.print(words, style="red", soft_wrap=True)
    if result.get("nothing_there"):
        console.print(f"{result['nothing_there']}.", style="yellow", soft_wrap=True)
    for notice in result.get("notices", []):
        console.print(notice, style="yellow", soft_wrap=True)
    if not result["complete"]:
        console.print("`dmm run` computes whatever is not done; finished shards are kept.", style="dim")
