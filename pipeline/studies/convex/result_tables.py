"""The tables of the convex study for the terminal and for the top of its page in MLflow.

R is the share of the squared distance to the retrained minimiser that is left.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipeline.results.tables import Cell, Column, Table, number_column, row_of, table_of
from pipeline.results.tracked import Results
from pipeline.store.store import Store
from pipeline.studies.base import Finished
from pipeline.studies.convex.chapter.chapter_tables import promise_cell
from pipeline.studies.convex.chapter.display_names import algorithm_name, removal_name
from pipeline.studies.convex.chapter.number_formats import amount, share_left
from pipeline.studies.convex.nodes.data_node import ConvexData
from pipeline.studies.convex.nodes.guarantees_node import ConvexGuarantees
from pipeline.studies.convex.nodes.linear_node import LinearPanel
from pipeline.studies.convex.study_results import summaries, tables_of

SHOWN_ALGORITHMS = ("gd", "om", "omrs", "dmm_exact", "dmm_datamodels", "dmm_influence")


def convex_tables(store: Store, finished: Finished) -> Iterator[Table]:
    """Yield the tables for the terminal: the linear study, each real data set, and promises under attack."""
    panels = {
        place: (store.summary(table), store.read(table))
        for place, table in tables_of(finished, LinearPanel).items()
    }
    if panels:
        columns = (Column("algorithm"), *map(number_column, panels))
        rows = [
            row_of(algorithm_name(name), *(_cell(found, read, name) for found, read in panels.values()))
            for name in SHOWN_ALGORITHMS
        ]
        yield table_of(
            columns,
            rows,
            caption="full-batch steps until R ≤ 10⁻², and in brackets R after all stochastic steps",
        )
    for label, told in summaries(store, finished, ConvexData).items():
        columns = (
            Column("removal"),
            number_column("R", show=amount),
            number_column("KLoM", digits=2, unit="nats"),
        )
        rows = [
            row_of(removal_name(one["label"]), one["share"], one["klom"]["forget"]["p95"])
            for one in told["outcomes"]
        ]
        yield table_of(columns, rows, caption=f"{label}: R and P95 KLoM on forgotten points at the end")
    for told in summaries(store, finished, ConvexGuarantees).values():
        rows = [
            row_of(
                f"{case['method']}: {case['situation']}", promise_cell(is_broken=case["verdict"]["is_broken"])
            )
            for case in told["cases"]
        ]
        yield table_of(
            (Column("situation"), Column("promise")),
            rows,
            caption="promises under the strongest attack",
        )


def convex_note_table(results: Results) -> Table:
    """Return a table of the full-batch steps that each algorithm needs to reach R = 1 %."""
    columns = (Column("panel"), Column("algorithm"), number_column("steps to 1 %"))
    steps = [row for row in results.tables.get("steps", ()) if row["steps_to_0.01"] is not None]
    return table_of(columns, (row_of(row["panel"], row["algorithm"], row["steps_to_0.01"]) for row in steps))


def _cell(found: Mapping[str, Any], read: Mapping[str, np.ndarray], name: str) -> Cell:
    left = float(read[f"stochastic.{name}.best.mean"][-1])
    return Cell(value=found["steps_to"][name]["0.01"], detail=f"({share_left(left)})")
