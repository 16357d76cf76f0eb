"""The fit at scale reads only what it must and hands its blocks over together.

Half precision in the store costs next to nothing.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny import run_serially, statuses, tables

from jobs.session import Session
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.walk import Walk
from pipeline.graph.logits_layout import column
from pipeline.graph.shard_task import Task, compute_task, read_common

Open = Callable[..., Session]
MORE = {
    "subset": {"n_models": 80},
    "designed": None,
    "heldout": {"n_models": 40},
    "full": {"n_models": 2},
    "oracle": {"n_models": 2},
    "floor": {"n_models": 2},
}


def damage(session: Session, block: int) -> None:
    """Change a byte of one block's logits in one shard of subset models."""
    path = next(Path(session.store.uri).glob("train/subset-*/*/*.parquet"))
    group = pq.ParquetFile(path).metadata.row_group(0)
    chunk = next(
        group.column(number)
        for number in range(group.num_columns)
        if group.column(number).path_in_schema == column(block)
    )
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(content)


def test_a_block_is_fitted_without_reading_the_others(open_tiny: Open) -> None:
    session = open_tiny("store.layout.block_points=10")
    run_serially(session, until="factor")
    damage(session, 3)
    failures = run_serially(session, until="fit").failures
    assert [(failure.key, failure.start, failure.stop) for failure in failures if failure.key == "fit"] == [
        ("fit", 3, 4)
    ]
    assert statuses(session)["fit"] == "partial"


def test_what_blocks_have_in_common_makes_the_same_shards_as_reading_it_again(open_tiny: Open) -> None:
    session = open_tiny("store.layout.block_points=30")

    def compute(task: Task, device: str) -> object:
        return compute_task(task, session.examples, device, read_common(task, session.examples, device))

    Walk(session.graph, session.store, open_executor=lambda: SerialExecutor(compute), until="fit").run()
    once = tables(session.store.uri)
    for path in Path(session.store.uri).glob("fit/*/*/*.parquet"):
        path.unlink()
    run_serially(session, until="fit")
    assert tables(session.store.uri) == once


def test_blocks_are_handed_over_together(open_tiny: Open) -> None:
    session, keys = open_tiny("store.layout.block_points=5"), []

    def compute(task: Task, device: str) -> object:
        keys.append(task.node.key)
        return compute_task(task, session.examples, device)

    Walk(session.graph, session.store, open_executor=lambda: SerialExecutor(compute), until="fit").run()
    assert [(key, len(list(group))) for key, group in itertools.groupby(keys) if key == "fit"] == [
        ("fit", 16)
    ]


def test_a_store_in_half_precision_costs_less_than_a_hundredth_of_the_lds(
    open_tiny: Open, tmp_path: Path
) -> None:
    found = []
    for dtype in ("float32", "float16"):
        session = open_tiny(
            f"store.layout.dtype={dtype}",
            store=tmp_path / dtype,
            populations=MORE,
            judges={"klom": {"n_resamples": 20}},
            estimator="ridge",
        )
        run_serially(session, until="score")
        found.append(session.store.summary(session.graph.survey(session.store)["score"].table)["lds"])
    assert found[0] > 0.1
    assert found[1] == pytest.approx(found[0], rel=0.01)
