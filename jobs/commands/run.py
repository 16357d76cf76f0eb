"""`dmm run`: computes what is missing of an experiment, judges it and writes the report."""

import os
import shlex
from typing import Annotated

import typer
from rich.console import Console

from jobs.options import (
    DEBUG,
    DONE,
    FAILED,
    AllowMissing,
    Config,
    ExecutorName,
    Json,
    Set,
    StoreUri,
    finish,
    paper,
    screen,
)
from jobs.running.experiment_run import RunResult, check_view, run_experiment
from jobs.running.progress_display import duration_in_words
from jobs.running.run_scope import scope_of, scope_up_to
from jobs.running.until_enough import find_enough
from jobs.session import Session, open_session
from pipeline.core.errors import ConfigError
from pipeline.graph.node_kinds import entries
from pipeline.graph.nodes.fit import ScoreNode
from pipeline.graph.nodes.lds_curve import WORTHWHILE
from pipeline.graph.result_rows import bounds_of, results_table
from pipeline.show.terminal import TerminalTable


def run(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE", help=f"Stop after this stage ({', '.join(entries())}), kind of table, or table."
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE",
            help=(f"Compute only this stage; the stages that it needs must be done: {', '.join(entries())}."),
        ),
    ] = None,
    executor: ExecutorName = "ray",
    until_enough: Annotated[
        bool,
        typer.Option(
            "--until-enough",
            help="Double the number of subset models until the score hardly improves.",
        ),
    ] = False,
    tolerance: Annotated[
        float, typer.Option(help="LDS that a doubling must gain to be worth it, for --until-enough.")
    ] = WORTHWHILE,
    allow_missing: AllowMissing = False,
    json_: Json = False,
) -> None:
    """Compute what is missing of an experiment, judge the unlearned models and write the report.

    Give a config, or nothing for the demonstration. The same command resumes a run and costs nothing once all
    is done; `dmm plan` shows the cost beforehand.
    """
    session = open_session(config, set_ or (), store)
    if only is not None and (until is not None or until_enough):
        raise ConfigError("--only cannot be combined with --until or --until-enough; leave out one of them")
    # Refuse a wrong stage or address before models are trained to find out how many are enough.
    scope = (
        scope_up_to(until, session) if only is None else scope_of(only, session, allow_missing=allow_missing)
    )
    check_view(session)
    enough, unknown = None, False
    if until_enough:
        enough = find_enough(
            session, screen, executor=executor, tolerance=tolerance, allow_missing=allow_missing
        )
        session, unknown = enough.session, enough.gain is None
        # If it is unknown whether the models are enough, the run ends with the score of the datamodels, and
        # nothing is unlearned with them.
        scope = scope_up_to(ScoreNode.stage if unknown else until, session)
    result = run_experiment(
        session,
        screen,
        executor=executor,
        wanted=scope.wanted,
        settled=scope.settled,
        allow_missing=allow_missing,
    )
    show_run(result, paper(), session)
    status = DONE if result.succeeded and not unknown else FAILED
    finish(result.to_json() | ({} if enough is None else {"enough": enough.to_json()}), json_, status)


def show_run(result: RunResult, console: Console, session: Session) -> None:
    """Print the verdict table, the failures, and where to look next."""
    if result.results:
        bounds = bounds_of(session.experiment.unlearners)
        console.print(TerminalTable(results_table(result.results, bounds=bounds)))
    if result.attribution:
        low, high = result.attribution["lds_interval"]
        n_constant, n_flat = result.attribution["n_constant"], result.attribution["n_flat"]
        left = (
            f" (margins that never vary, left out: {n_constant:,}; predicted not to vary, counted as 0: "
            f"{n_flat:,})"
            if n_constant or n_flat
            else ""
        )
        models = f"{result.attribution['n_heldout']} held-out subset models{left}"
        console.print(
            f"Datamodels: LDS {result.attribution['lds']:.3f} ({low:.3f} to {high:.3f}) on {models}"
        )
    if result.verdict:
        console.print(result.verdict["summary"], style="bold")
        for label in session.experiment.forget_sets:
            console.print(f"  {label}: {result.verdict['headlines'][label]}.")
    show_failures(result, console)
    _show_ending(result, console, session)


def show_failures(result: RunResult, console: Console) -> None:
    """Print what failed or was left unfinished, and the remedy."""
    for failure in result.failures:
        console.print(
            f"failed: {failure.key} {failure.start}-{failure.stop}: {failure.error}",
            style="red",
            soft_wrap=True,
        )
        if failure.trace and os.environ.get(DEBUG) == "1":
            console.print(failure.trace, soft_wrap=True)
    if result.failures:
        console.print(
            "Everything else is kept. Fix the cause and run the same command again to compute the "
            "failed shards.",
            style="yellow",
        )
    if result.unfinished:
        console.print(
            f"Not finished: {', '.join(result.unfinished)}; run the same command again.", style="red"
        )


def _show_ending(result: RunResult, console: Console, session: Session) -> None:
    if result.n_models_made:
        console.print(
            f"Trained or unlearned {result.n_models_made:,} models in {duration_in_words(result.seconds)}."
        )
    elif result.complete:
        computed = (
            f"Computed {result.n_nodes_finished:,} tables; no model had to be trained"
            if result.n_nodes_finished
            else ""
        )
        console.print(
            f"{computed or 'All done already: nothing had to be computed'} ({result.seconds:.1f} s)."
        )
    if result.report:
        console.print(f"Report:  {result.report}", soft_wrap=True)
    if result.mlflow_run_id:
        console.print(f"MLflow:  run {result.mlflow_run_id}{_where_seen(result, session)}", soft_wrap=True)


def _where_seen(result: RunResult, session: Session) -> str:
    """Return in words where MLflow shows a run: the address of its server, or the `dmm ui` command.

    The command includes tracking.uri if the experiment sets it.
    """
    uri, given = result.tracking_uri or "", session.experiment.tracking.uri
    named = f" --set {shlex.quote(f'tracking.uri={given}')}" if given else ""
    return (
        f" at {uri}"
        if uri.startswith("http")
        else f"; see it with `dmm ui --store {shlex.quote(session.experiment.store.uri)}{named}`"
    )
