"""The commands of studies, such as `dmm convex`: one for each study of the package, with the study's name.

Such a command computes only the study of an experiment, not the rest of the experiment.
"""

import time
from collections.abc import Callable

from rich.console import Console

from jobs.commands.run import show_failures
from jobs.options import DONE, FAILED, Config, ExecutorName, Json, Set, StoreUri, finish, paper, screen
from jobs.running.experiment_run import publish_blob as publish_blob
from jobs.running.experiment_run import run_experiment
from jobs.session import Session, demonstrations, open_session
from pipeline.core.errors import ConfigError
from pipeline.execution.selected_nodes import with_dependencies
from pipeline.graph.graph import NodeState, states_of
from pipeline.graph.nodes.study import STUDY_PAGE, StudyNode, StudyPage
from pipeline.show.terminal import TerminalTable
from pipeline.studies import STUDIES
from pipeline.studies.base import Study
from pipeline.tracking.study_pages import finished


def command_of(study: type[Study]) -> Callable[..., None]:
    """Return the command that computes a study alone and shows its result."""

    def command(
        config: Config = None,
        set_: Set = None,
        store: StoreUri = None,
        executor: ExecutorName = "ray",
        json_: Json = False,
    ) -> None:
        begun = time.monotonic()
        session = open_session(
            config,
            set_ or (),
            store,
            demonstration=study.name if study.name in demonstrations() else "digits",
        )
        found = _study_of(session, study, config)
        result = run_experiment(session, screen, executor=executor, wanted=_wanted(session, study.name))
        states = session.graph.survey(session.store)
        page = publish_study_page(session, screen, states, study.name)
        tables = finished(states, study.name)
        for table in found.tables(session.store, tables):
            paper().print(TerminalTable(table))
        if page is not None:
            paper().print(f"Page:    {page}", soft_wrap=True)
        show_failures(result, paper())
        about = {
            "page": page,
            "seconds": round(time.monotonic() - begun, 2),
            "failures": result.to_json()["failures"],
            "unfinished": result.unfinished,
        }
        finish(found.results(session.store, tables) | about, json_, DONE if result.succeeded else FAILED)

    command.__name__ = study.name
    command.__doc__ = (study.__doc__ or "").split("\n")[0]
    return command


STUDY_COMMANDS = tuple(command_of(study) for study in STUDIES.plugins)


def _study_of(session: Session, study: type[Study], config: str | None) -> Study:
    """Return the study of an experiment; raises ConfigError if it has none."""
    found = session.experiment.all_studies().get(study.name)
    if found is None:
        place = config or "the demonstration as set here"
        key = study.name
        raise ConfigError(
            f"{place} has no section `{key}`, so there is no study to run; add `{key}: {{}}` for the default "
            "one, or leave the config out"
        )
    return found


def _wanted(session: Session, label: str) -> frozenset[str]:
    own = [
        key
        for key, node in session.graph.nodes.items()
        if isinstance(node, StudyNode) and node.run.name == label
    ]
    return with_dependencies(session.graph, own)


def publish_study_page(
    session: Session, screen: Console, states: dict[str, NodeState], label: str
) -> str | None:
    """Copy the page of a study to a file whose name is easy to find, and return its location.

    The result is None if the study has no finished page.
    """
    pages = [
        state
        for state in states_of(states, StudyPage)
        if isinstance(state.node, StudyPage) and state.node.run.name == label
    ]
    return (
        publish_blob(session, screen, pages[0], STUDY_PAGE, f"{label}-{session.experiment.name}.html")
        if pages
        else None
    )
