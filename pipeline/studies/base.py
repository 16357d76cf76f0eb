"""The interface through which the rest of the package uses a study.

A study adds its own settings, tables, report chapter and results to an experiment. Shared code names no
study; only the table in `__init__.py` does.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.core.errors import DataError
from pipeline.core.registry import Plugin
from pipeline.graph.child_run import ChildRun
from pipeline.graph.node import Resources
from pipeline.graph.nodes.study import STUDY_PAGE, StudyNode, StudyPage
from pipeline.results.tables import Column, Table, number_column, row_of, table_of
from pipeline.results.tracked import Results
from pipeline.store.store import Store, TableRef

# The finished tables of a study by key: the node of each table, and the reference to it in the store.
Finished = Mapping[str, tuple[StudyNode, TableRef]]


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a study needs to know about its experiment in order to build its nodes.

    label is the study's key in the config. resources are those that each task of the study may use.
    """

    label: str
    experiment_name: str
    resources: Resources
    # Whether nodes may read the content of data sets. `dmm status` works without it.
    reads_inputs: bool = True


class Study(Plugin):
    """The base class of studies: computations that an experiment runs beside unlearning.

    The fields of a study are its settings. Its tables are nodes; one of them may be a StudyPage, which draws
    its page. A study in the table STUDIES has a config key and a command, both with the study's name. A study
    from outside the package is set below the config key `studies`.
    """

    # The title of the page in MLflow, and the heading of the chapter in the report.
    title: ClassVar[str]
    heading: ClassVar[str]
    # The text of the page in MLflow, in Markdown.
    note: ClassVar[str] = ""
    # The classes of the study's nodes that do not use the shared stage `studies`.
    kinds: ClassVar[tuple[type[StudyNode], ...]] = ()

    def run(self, label: str) -> ChildRun:
        """Return the child run of MLflow that shows the study."""
        return ChildRun(name=label, title=f"5 {self.title}", note=self.note)

    @abstractmethod
    def nodes(self, place: Place) -> Iterator[StudyNode]:
        """Yield the tables of the study, parents before children."""

    def results(self, store: Store, finished: Finished) -> dict[str, Any]:
        """Return the results of the study, JSON-ready; by default the summary of each table by its key."""
        return {key: store.summary(table) for key, (_, table) in finished.items()}

    def _check_results(self, found: dict[str, Any], store: Store, finished: Finished) -> None:
        """Raise DataError unless results can be printed as JSON."""
        try:
            json.dumps(found, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"they are not ready for JSON ({error}); use finite numbers, text, lists and mappings of them"
            ) from error

    def tracked(self, store: Store, finished: Finished, *, version: str) -> Results:
        """Return the results for MLflow; by default numbers of all summaries, the page and its figures.

        version identifies the content of the results. They are logged again when it changes.
        """
        summaries = {key: store.summary(table) for key, (_, table) in finished.items()}
        metrics = {
            f"{name}/{key}": value
            for key, found in summaries.items()
            for name, value in numbers_of(found).items()
        }
        return Results(version=version, metrics=metrics, **page_of(store, finished))

    def note_table(self, results: Results) -> Table:
        """Return the table at the top of the page in MLflow; an empty one, the default, is left out."""
        return Table(columns=())

    def tables(self, store: Store, finished: Finished) -> Sequence[Table]:
        """Return the tables for the terminal; by default the numbers of all summaries."""
        summaries = {key: numbers_of(store.summary(table)) for key, (_, table) in finished.items()}
        rows = [row_of(key, name, value) for key, found in summaries.items() for name, value in found.items()]
        columns = (Column("table"), Column("what"), number_column("value"))
        return [table_of(columns, rows, caption=self.title)] if rows else []


def numbers_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among the values of a summary."""
    return {name: float(value) for name, value in summary.items() if is_number(value)}


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; True and False do not count as numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def page_of(store: Store, finished: Finished) -> dict[str, Any]:
    """Return the page of a study and its figures as arguments of Results; empty if it has no page."""
    found: dict[str, Any] = {}
    for node, table in finished.values():
        if isinstance(node, StudyPage):
            folder, shard = table.folder, table.pieces[0].shard
            names = [name for name in store.blob_names(folder, shard) if name.endswith(".png")]
            figures = {name.removesuffix(".png"): store.read_blob(folder, shard, name) for name in names}
            found = {
                "figures": figures,
                "files": {f"{node.run.name}.html": store.read_blob(folder, shard, STUDY_PAGE)},
            }
    return found
