"""A run of an experiment: it computes what is missing, shows it in MLflow and records it in the store."""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from jobs.running.experiment_index import Ledger
from jobs.running.progress_display import open_display
from jobs.running.publishing import publish_file
from jobs.session import Session, executor_opener, why_looped
from pipeline.core.hidden_passwords import masked
from pipeline.core.settings.paths import with_absolute_paths
from pipeline.core.settings.tracking_address import is_in_store
from pipeline.execution.failures import Failure
from pipeline.execution.progress import Progress
from pipeline.execution.stored_digests import record_digests
from pipeline.execution.walk import Walk
from pipeline.graph.builders.judge_nodes import not_judged
from pipeline.graph.graph import NodeState, states_of
from pipeline.graph.nodes.fit import ScoreNode
from pipeline.graph.nodes.report import PAGE, ReportPage
from pipeline.graph.result_rows import Result
from pipeline.store.files import local_folder
from pipeline.tracking.listener import open_view
from pipeline.tracking.open_tracker import tracking_uri
from pipeline.tracking.result_pages import results_of
from pipeline.tracking.study_pages import study_results
from pipeline.tracking.tracker import Status
from pipeline.training.input_scale import scale_notice


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The result of a run; `results` has one row for each unlearner and forget set that was judged.

    failures are the shards that were given up. faults counts tasks that came back without a result, by fault
    class; such a task is usually tried again. unfinished names the nodes that the run should have finished
    and did not, with their status. n_nodes_finished counts the nodes that were not done before the run and
    are done now. attribution is the summary of the table of LDS, and verdict that of the report; both are
    empty until that table is done. studies has the result of each study so far, by its label.
    """

    results: list[Result]
    failures: list[Failure]
    n_models_made: int
    complete: bool
    seconds: float
    store: str
    mlflow_run_id: str
    tracking_uri: str | None
    report: str | None
    attribution: dict[str, Any] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    n_nodes_finished: int = 0
    studies: dict[str, Any] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether nothing failed and the run left nothing unfinished."""
        return not self.failures and not self.unfinished

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-ready."""
        rows = [result.to_json() for result in self.results]
        return {
            **self.__dict__,
            "results": rows,
            "failures": [_failure(failure) for failure in self.failures],
            "seconds": round(self.seconds, 2),
        }


def run_experiment(
    session: Session,
    screen: Console,
    *,
    executor: str,
    allow_missing: bool = False,
    wanted: frozenset[str] | None = None,
    settled: frozenset[str] = frozenset(),
) -> RunResult:
    """Compute what is missing of the wanted nodes (None: all nodes) and show it in MLflow.

    Populations in settled are used as they are, although some of their models are missing. screen shows
    messages and progress.
    """
    begun = time.monotonic()
    wanted = frozenset(session.graph.nodes) if wanted is None else wanted
    open_executor = executor_opener(executor, session)
    check_view(session)
    states = session.graph.survey(session.store)
    is_shown = True
    if all(states[key].status == "done" for key in wanted):
        is_shown = _is_view_writable(session, screen)
    else:
        _announce(session, screen)
    display = open_display(screen)
    view = open_view(
        session.graph,
        session.store,
        warn=lambda text: screen.print(text, style="yellow", soft_wrap=True),
        is_shown=is_shown,
    )
    ledger = Ledger(session.graph, session.store)
    listeners = [display, view, ledger]
    walk: Walk | None = None
    status: Status = "FAILED"
    try:
        walk = Walk(
            session.graph,
            session.store,
            open_executor=open_executor,
            listeners=listeners,
            wanted=wanted,
            allow_missing=allow_missing,
            settled=settled,
        )
        record_digests(session.store, with_absolute_paths(session.experiment))
        progress = walk.run()
        unfinished = _unfinished(progress, settled)
        status = "FAILED" if progress.failures or unfinished else "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        display.stop()
        view.end(status, walk.progress if walk else Progress(states=states, wanted=wanted))
        ledger.end()
    finished = sum(states[key].status != "done" and progress.states[key].status == "done" for key in wanted)
    return _result(
        session,
        screen,
        progress,
        seconds=time.monotonic() - begun,
        mlflow_run_id=view.run_id,
        unfinished=unfinished,
        n_nodes_finished=finished,
    )


def check_view(session: Session) -> str | None:
    """Return the address of MLflow's data on the run, None if tracking is off.

    Raises ConfigError if that address cannot work. Nothing is written.
    """
    return tracking_uri(session.experiment.tracking.uri, store_root=local_folder(session.store.uri))


def _is_view_writable(session: Session, screen: Console) -> bool:
    """Return whether MLflow's pages of the run can be written; if not, screen shows why.

    The pages are files in the store, unless an MLflow server keeps them.
    """
    address = check_view(session)
    if address is None or not is_in_store(address):
        return True
    reason = session.store.why_read_only()
    if reason is not None:
        refusal = reason.partition(";")[0]
        screen.print(
            f"Nothing is left to compute, and the pages of MLflow cannot be updated: {refusal}",
            style="yellow",
            soft_wrap=True,
        )
    return reason is None


def _announce(session: Session, screen: Console) -> None:
    about = (
        f"{session.experiment.name}: computing the missing tables in {session.store.uri}. "
        "Ctrl-C stops the run; the same command resumes it"
    )
    screen.print(about, soft_wrap=True)
    notice = scale_notice(session.examples)
    if notice is not None:
        screen.print(notice, style="yellow", soft_wrap=True)
    for left_out in not_judged(session.experiment):
        screen.print(left_out, style="yellow", soft_wrap=True)
    reason = why_looped(session)
    if reason is not None:
        screen.print(f"models are trained one by one, not stacked: {reason}", style="yellow", soft_wrap=True)


def _result(
    session: Session,
    screen: Console,
    progress: Progress,
    *,
    seconds: float,
    mlflow_run_id: str,
    unfinished: list[str],
    n_nodes_finished: int,
) -> RunResult:
    made = progress.states
    (report,) = states_of(made, ReportPage)
    return RunResult(
        results=results_of(session.graph, session.store, made),
        failures=progress.failures,
        n_models_made=progress.n_models_made,
        complete=all(made[key].status == "done" for key in progress.wanted),
        seconds=seconds,
        store=session.store.uri,
        mlflow_run_id=mlflow_run_id,
        tracking_uri=masked(check_view(session) or "") or None,
        report=publish_report(session, screen, report),
        attribution=_summary(session, next(iter(states_of(made, ScoreNode)), None)),
        verdict=_summary(session, report),
        faults={str(fault): count for fault, count in progress.faults.items()},
        unfinished=unfinished,
        n_nodes_finished=n_nodes_finished,
        studies=study_results(session.graph, session.store, made),
    )


def _unfinished(progress: Progress, settled: frozenset[str]) -> list[str]:
    """Return the nodes that a run should have finished and did not, with their status.

    The list is empty if a shard failed, because the failure already explains why nodes are not finished.
    """
    states = progress.states
    return (
        []
        if progress.failures
        else [
            f"{key} ({states[key].status})"
            for key in states
            if key in progress.wanted - settled and states[key].status != "done"
        ]
    )


def publish_report(session: Session, screen: Console, state: NodeState) -> str | None:
    """Copy the report to a file whose name is easy to find, and return its location.

    The result is None if the report is not finished.
    """
    return publish_blob(session, screen, state, PAGE, f"report-{session.experiment.name}.html")


def publish_blob(session: Session, screen: Console, state: NodeState, ending: str, name: str) -> str | None:
    """Copy a file from a node's table to a file called name, which is easy to find; return its location.

    The node has one shard, and the file was written with this shard under the given ending, such as `html`.
    The result is None if the node is not finished.
    """
    if state.status != "done":
        return None
    return publish_file(
        session.store,
        name,
        session.store.read_blob(state.table.folder, state.pieces[0].shard, ending),
        screen,
    )


def _summary(session: Session, state: NodeState | None) -> dict[str, Any]:
    return session.store.summary(state.table) if state is not None and state.status == "done" else {}


def _failure(failure: Failure) -> dict[str, Any]:
    return {"node": failure.key, "start": failure.start, "stop": failure.stop, "error": failure.error}
