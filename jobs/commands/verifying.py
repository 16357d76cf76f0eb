"""What `dmm verify` does: every byte read, bad files set aside and their shards made again, the files of living writers left alone."""

import time
from typing import Any

from rich.console import Console

from jobs.commands.presence import why_no_store
from jobs.commands.verbs import run, view_address
from jobs.session import Session
from pipeline.core.errors import ConfigError
from pipeline.graph.kinds import stages
from pipeline.store.integrity import is_young
from pipeline.store.store import Problem

# A writer that lives puts a shard into the list seconds after its first blob, minutes after it where the store goes away in between.
YOUNG_SECONDS = 3600.0


def verify(session: Session, screen: Console, *, repair: bool, executor: str) -> dict[str, Any]:
    """Check every table of the store; with repair, set bad files aside and compute their shards again. Raises ConfigError if there is no store.

    What no shard refers to and is younger than YOUNG_SECONDS is left alone and only counted, as n_young: a run may be at work beside this one.
    """
    if repair:
        # What is set aside must be made again, so whatever keeps the run from starting is found before.
        view_address(session)
    nothing = why_no_store(session.store)
    if nothing is not None:
        raise ConfigError(f"{nothing}; give the store that `dmm run` made with --store")
    store, settled = session.store, _now(session, repair) - YOUNG_SECONDS
    found = _check(session, settled)
    bad = [problem for problem in found if not problem.is_young]
    moved = [store.quarantine(problem.path) for problem in bad if not _is_taken_up(session, problem, settled)] if repair else []
    again = run(session, screen, executor=executor, until=None, allow_missing=False) if repair and bad else None
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
    """Return the time by the store's clock, before anything is listed. Who does not repair writes nothing, so there this machine's clock must do."""
    return session.store.clock() if repair and _folders(session) else time.time()


def _check(session: Session, settled: float) -> list[Problem]:
    return [problem for folder in _folders(session) for problem in session.store.check(folder, settled=settled)]


def _is_taken_up(session: Session, problem: Problem, settled: float) -> bool:
    """Return whether a file was written again since it was checked, as a blob is whose writer was killed: reading all bytes may take hours."""
    return problem.range is None and is_young(session.store.files, problem.path, settled)


def _folders(session: Session) -> list[str]:
    """Return every table folder of the store, stale ones included."""
    files = session.store.files
    return [f"{stage}/{name}/{version}" for stage in stages() for name in files.names(stage) for version in files.names(f"{stage}/{name}")]


def _problem(problem: Problem) -> dict[str, Any]:
    return {"path": problem.path, "reason": problem.reason, "range": list(problem.range) if problem.range else None}
