"""`dmm verify`: reads every byte of a store and names bad files.

With --repair it sets them aside and makes their shards again.
"""

import time
from typing import Annotated, Any

import typer
from rich.console import Console

from jobs.options import DONE, FAILED, Config, Json, Set, StoreUri, finish, paper, screen
from jobs.running.experiment_run import check_view, run_experiment
from jobs.running.store_presence import why_no_store
from jobs.session import Session, open_session
from pipeline.core.errors import ConfigError
from pipeline.graph.node_kinds import stages
from pipeline.store.integrity import is_young
from pipeline.store.store import Problem

# Up to this age, in seconds, a file that no shard refers to may belong to a shard that is being written. The
# shard itself is written last: seconds after its first file, or minutes if the store does not answer in
# between.
YOUNG_SECONDS = 3600.0


def verify(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set bad files aside and compute just their shards again.")
    ] = False,
    executor: Annotated[str, typer.Option(help="ray or serial, for --repair.")] = "ray",
    json_: Json = False,
) -> None:
    """Read every byte of a store and name files that are corrupt, foreign or half-written.

    With --repair, moves these files aside and computes only their shards again. Files that a run may still
    need are left alone. Reading costs time in proportion to the size of the store.
    """
    session = open_session(config, set_ or (), store)
    result = check_store(session, screen, repair=repair, executor=executor)
    show_verify(result, paper())
    finish(result, json_, DONE if result["ok"] else FAILED)


def check_store(session: Session, screen: Console, *, repair: bool, executor: str) -> dict[str, Any]:
    """Check every table of the store; with repair, set bad files aside and compute their shards again.

    Files that no shard refers to and that are younger than YOUNG_SECONDS are left alone and only counted, as
    n_young, because another run may be at work. Raises ConfigError if there is no store.
    """
    if repair:
        # Files that are set aside must be made again, so check first that the run can start.
        check_view(session)
    nothing = why_no_store(session.store)
    if nothing is not None:
        raise ConfigError(f"{nothing}; give the store that `dmm run` made with --store")
    store, settled = session.store, _now(session, repair) - YOUNG_SECONDS
    found = _check(session, settled)
    bad = [problem for problem in found if not problem.is_young]
    moved = (
        [
            store.quarantine(problem.path)
            for problem in bad
            if not _changed_since_check(session, problem, settled)
        ]
        if repair
        else []
    )
    again = run_experiment(session, screen, executor=executor) if repair and bad else None
    left = _check(session, settled) if again else found if not repair else []
    return {
        "ok": all(problem.is_young for problem in left) and not (again and not again.succeeded),
        "store": store.uri,
        "n_tables": len(_folders(session)),
        "problems": [_problem(problem) for problem in bad],
        "quarantined": moved,
        "n_young": len(found) - len(bad),
        "n_models_made": again.n_models_made if again else 0,
    }


def _now(session: Session, repair: bool) -> float:
    """Return the current time in seconds since 1970; call this before files are listed.

    With repair the time is read from the store's clock, for which a small file is written. Without repair, or
    in a store without tables, the time is read from this machine's clock, and nothing is written.
    """
    return session.store.clock() if repair and _folders(session) else time.time()


def _check(session: Session, settled: float) -> list[Problem]:
    return [
        problem for folder in _folders(session) for problem in session.store.check(folder, settled=settled)
    ]


def _changed_since_check(session: Session, problem: Problem, settled: float) -> bool:
    """Return whether a file that is not itself a shard was written again or deleted after it was checked.

    The check may take hours. Meanwhile a run may replace a file whose first writer was killed. The new file
    must not be moved. settled is the time, in seconds since 1970, after which a file counts as new.
    """
    return problem.range is None and is_young(session.store.files, problem.path, settled)


def _folders(session: Session) -> list[str]:
    """Return every table folder of the store, stale ones included."""
    files = session.store.files
    return [
        f"{stage}/{name}/{version}"
        for stage in stages()
        for name in files.names(stage)
        for version in files.names(f"{stage}/{name}")
    ]


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "path": problem.path,
        "reason": problem.reason,
        "range": list(problem.range) if problem.range else None,
    }


def show_verify(result: dict[str, Any], console: Console) -> None:
    """Print each bad file with the reason why it is bad, and what was done about the bad files."""
    for problem in result["problems"]:
        console.print(f"{problem['path']}: {problem['reason']}", style="red", soft_wrap=True)
    if result["n_young"]:
        console.print(
            f"{result['n_young']} files belong to no shard but are less than an hour old, so they "
            "were left alone: a run may still be writing or listing them. Verify again an hour "
            "after the last run ends.",
            style="yellow",
        )
    if not result["n_tables"]:
        console.print(
            f"No table is in {result['store']} yet, so there is nothing to check.",
            style="yellow",
            soft_wrap=True,
        )
    elif not result["problems"]:
        every = "Every other file" if result["n_young"] else "Every file"
        console.print(f"{every} of {result['store']} is intact.", style="green", soft_wrap=True)
    elif result["quarantined"]:
        console.print(
            f"{len(result['quarantined'])} files were moved to {result['store']}/quarantine; "
            f"{result['n_models_made']} models were made again."
        )
    else:
        console.print("`dmm verify --repair` sets these files aside and computes just their shards again.")
