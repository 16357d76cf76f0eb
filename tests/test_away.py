"""A mount that vanishes during a run, for the driver and the workers.

Nothing counts as missing, and nothing is trained twice.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from faulty import WatchedFiles, at_call
from tiny import run_serially, tables

from jobs.session import Session
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import compute_task, open_store

Open = Callable[..., Session]


@pytest.mark.parametrize("left", ["nothing", "an empty mount point"])
def test_a_store_that_vanishes_for_a_while_ends_with_the_tables_of_an_undisturbed_run(
    open_tiny: Open, tmp_path: Path, left: str
) -> None:
    wanted = frozenset({"train/subset", "train/full"})
    run_serially(open_tiny(store=tmp_path / "whole"), wanted=wanted)
    session, root, away, begun = (
        open_tiny(store=tmp_path / "vanishing"),
        tmp_path / "vanishing",
        tmp_path / "away",
        [],
    )

    def come_back() -> None:
        if left != "nothing":
            root.rmdir()
        away.rename(root)

    def open_vanished(task):
        store = open_store(task)
        root.rename(away)
        if left != "nothing":
            root.mkdir()
        store.files = replace(store.files, inner=WatchedFiles(store.files.inner, at_call(3, come_back)))
        return store

    def compute(task, device):
        begun.append(task)
        return compute_task(
            task, session.examples, device, open_store=open_vanished if len(begun) in (2, 5) else open_store
        )

    progress = Walk(
        session.graph, session.store, open_executor=lambda: SerialExecutor(compute), wanted=wanted
    ).run()
    assert not progress.failures
    assert len(begun) == len(tables(root)) == 6
    assert tables(root) == tables(tmp_path / "whole")
