"""The entries that a scheduler starts apart: which stages each computes, and what must be there before. In this order they are a whole run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from jobs import cli
from jobs.commands import computing, listing, verbs
from jobs.commands.options import DONE, FAILED, AllowMissing, Config, ExecutorName, Json, Set, StoreUri, finish, paper, screen
from jobs.session import Session, open_session
from pipeline.core.errors import MissingShardsError
from pipeline.execution.wanted import with_what_they_rest_on
from pipeline.graph.kinds import entries


@dataclass(frozen=True)
class Share:
    """What of a graph one entry computes: `wanted` includes what that rests on, `settled` those of it that are used with members missing."""

    wanted: frozenset[str]
    settled: frozenset[str]


def share_of(entry: str, session: Session, *, allow_missing: bool) -> Share:
    """Return the share of the entry called so; raises MissingShardsError naming what must be made first, and the entries that make it."""
    nodes, states = session.graph.nodes, session.graph.survey(session.store)
    own = {key for key, node in nodes.items() if node.entry == entry}
    # What is done rests on nothing that is still to come, even where weights beside its parents are to be kept again.
    wanted = frozenset(own) | with_what_they_rest_on(session.graph, {key for key in own if states[key].status != "done"})
    settled = frozenset(key for key in wanted - own if allow_missing and nodes[key].trains and 2 <= states[key].n_done < nodes[key].n_units)
    states = session.graph.survey(session.store, settled=settled) if settled else states
    missing = [key for key in nodes if key in wanted - own - settled and states[key].status != "done"]
    if missing:
        first = [f"python -m jobs.{name}" for name in entries() if any(nodes[key].entry == name for key in missing)]
        named = ", ".join(f"{key} ({states[key].status})" for key in missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise MissingShardsError(
            f"the {entry} stage rests on what is not in {session.store.uri} yet: {named}; run `{'`, then `'.join(first)}` with the same config and store first"
        )
    return Share(wanted, settled)


def compute(entry: str, session: Session, *, executor: str, allow_missing: bool) -> verbs.RunResult:
    """Compute the stages of one entry, nothing else, and show them in MLflow."""
    share = share_of(entry, session, allow_missing=allow_missing)
    return verbs.run(session, screen, executor=executor, wanted=share.wanted, settled=share.settled, allow_missing=allow_missing)


def command_of(entry: str) -> Callable[..., None]:
    """Return the command that is started as `python -m jobs.<entry>`."""

    def command(
        config: Config = None,
        set_: Set = None,
        store: StoreUri = None,
        executor: ExecutorName = "ray",
        allow_missing: AllowMissing = False,
        json_: Json = False,
    ) -> None:
        session = open_session(config, set_ or (), store)
        result = compute(entry, session, executor=executor, allow_missing=allow_missing)
        listing.show_run(result, paper(), session)
        finish(result.to_json(), json_, DONE if result.succeeded else FAILED)

    command.__doc__ = f"Compute the {entry} stage of an experiment ({', '.join(entries()[entry])}) once what it rests on is done; run it again to resume."
    return command


def main(entry: str) -> Any:
    """Run the entry called so, or `run` for all of them, on the command line; see jobs.cli for the exit status."""
    commands = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    commands.command()(computing.run if entry == "run" else command_of(entry))
    cli.main(commands)
