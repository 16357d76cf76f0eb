"""The table on top of each page in MLflow, filled from the results of the page."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.config import Experiment
from pipeline.config.proxies import is_proxy
from pipeline.evaluation.judges.scores import Score
from pipeline.graph.graph import Graph
from pipeline.graph.node import Node
from pipeline.graph.nodes.attribution import Attribution
from pipeline.graph.nodes.evaluate import VerdictNode
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.nodes.models import Models
from pipeline.graph.nodes.study import StudyNode
from pipeline.results.formatting import duration
from pipeline.results.score_tables import every_score
from pipeline.results.tables import Cell, Column, Table, number_column, row_of, table_of
from pipeline.results.tracked import Results

PURPOSES = {
    "subset": "random subsets, to learn from",
    "designed": "whole groups dropped, to learn from",
    "heldout": "random subsets, to score what was learnt",
    "full": "all points: to be unlearned",
    "scout": "look at the data",
    "oracle": "retrained without the set, to compare with",
    "floor": "another group without the set: the noise floor",
    "focused_in": "with the set, one half of each pair",
    "focused_out": "without the set, the other half",
}


def note_table(nodes: Iterable[Node], graph: Graph, results: Results) -> Table:
    """Return the table for the child run that shows nodes; empty if child runs of its kind have no table."""
    for node in nodes:
        match node:
            case Forget():
                return _forget(graph, results)
            case Models():
                return _train(graph.experiment, results)
            case Attribution():
                return _attribution(results)
            case StudyNode():
                return graph.experiment.all_studies()[node.run.name].note_table(results)
            case VerdictNode():
                return _verdict(graph, results)
    return Table(columns=())


def _forget(graph: Graph, results: Results) -> Table:
    columns = (Column("forget set"), Column("rule"), number_column("points"))
    sets = graph.experiment.forget_sets
    return table_of(
        columns, (row_of(label, sets[label].name, len(results.tables.get(label, ()))) for label in sets)
    )


def _train(experiment: Experiment, results: Results) -> Table:
    columns = (
        Column("population"),
        Column("what for"),
        number_column("models"),
        number_column("accuracy", digits=3, note="mean on validation points"),
        number_column("core time", show=duration),
    )
    rows = (
        row_of(
            Cell(value=row["population"], detail="(proxy)" if is_proxy(experiment, row["role"]) else ""),
            PURPOSES.get(row["role"], ""),
            row["models"],
            row["validation_accuracy_mean"],
            row["core_seconds"],
        )
        for row in results.tables.get("populations", ())
    )
    return table_of(columns, rows)


def _attribution(results: Results) -> Table:
    columns = (
        Column("forget set"),
        number_column("largest change of a logit", digits=2),
        number_column("mean change", digits=2),
        number_column("mean standard error", digits=2),
    )
    names = ("largest_change", "mean_change", "mean_standard_error")
    effects: list[Mapping[str, Any]] = list(results.tables.get("effects", ()))
    return table_of(
        columns, (row_of(row["forget_set"], *(row.get(name) for name in names)) for row in effects)
    )


def _verdict(graph: Graph, results: Results) -> Table:
    """Return every score of every judge, beside the scores of retrained models."""
    scores: dict[str, list[Score]] = {}
    for line in results.tables["scores"]:
        fields = {
            field: line[field] for field in ("statistic", "split", "value", "reference", "better", "unit")
        }
        scores.setdefault(line["judge"], []).append(Score(**fields))
    return every_score(graph.experiment.judges, scores)
