"""The commands that only look: `dmm plan`, `status`, `watch`, `config` and `ui`. None of them computes or writes."""

import json
import shlex
from typing import Annotated

import typer

from jobs.commands import listing, planning, verbs
from jobs.commands.interface import ui as serve
from jobs.commands.ledger import recorded, run_in
from jobs.commands.options import DONE, FAILED, Config, Json, Set, StoreUri, deliver, finish, paper, screen
from jobs.session import open_session, read_experiment
from pipeline.config import Experiment
from pipeline.store.store import Store


def plan(config: Config = None, set_: Set = None, store: StoreUri = None, json_: Json = False) -> None:
    """Say what exists, what will be trained and what that costs, before anything is."""
    result = planning.plan(open_session(config, set_ or (), store))
    listing.show_plan(result, paper())
    finish(result, json_, DONE)


def status(config: Config = None, set_: Set = None, store: StoreUri = None, json_: Json = False) -> None:
    """Say what of an experiment is done, partial, missing, stale or waiting; with --store alone, of every experiment that was run in it."""
    if config is None and store is not None and not set_:
        found = recorded(Store(store))
        listing.show_recorded(found, paper())
        for path in found["damaged"]:
            screen.print(f"{path} is damaged; remove it, and the next run writes it again", style="yellow", soft_wrap=True)
        finish(found, json_, DONE if found["experiments"] else FAILED)
    result = verbs.status(open_session(config, set_ or (), store, reads_inputs=False))
    listing.show_status(result, paper())
    finish(result, json_, DONE)


def watch(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end, for logs.")] = False,
    patience: Annotated[float, typer.Option("--patience", metavar="MINUTES", min=0, help="End with status 1 when nothing was made for so long.")] = 30.0,
    json_: Json = False,
) -> None:
    """Look on while a run works, from any machine that sees its store, until it is complete or nobody works any more."""
    from jobs.commands.watch import watch as look_on

    session = open_session(config, set_ or (), store)
    others = run_in(session.store) if config is None else []
    if others and f"{session.experiment.name}-{session.graph.digest}" not in others:
        about = f"looking for the demonstration, which was never run in {session.store.uri}; that holds {', '.join(others)}"
        screen.print(f"{about}: name its config, `dmm watch CONFIG --store {shlex.quote(session.store.uri)}`", style="yellow", soft_wrap=True)
    look = look_on(session, paper(), once=once, patience=patience)
    finish(look.to_json(), json_, DONE if once or look.is_complete else FAILED)


def config(
    config: Config = None,
    set_: Set = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the whole config, every default filled in.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a config.")] = False,
) -> None:
    """Check a config without its data, print it whole, or print its schema."""
    if schema:
        raise typer.Exit(deliver(json.dumps(Experiment.model_json_schema(), indent=1)))
    experiment = read_experiment(config, set_ or (), None)
    if print_:
        raise typer.Exit(deliver(experiment.to_yaml()))
    paper().print(f"{config or 'the demonstration'} is a valid config (digest {experiment.digest})", soft_wrap=True)


def ui(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to bind to; others can reach it only if you widen this.")] = "127.0.0.1",
) -> None:
    """Open the MLflow UI on this store."""
    serve(read_experiment(config, set_ or (), store), host=host, port=port)
