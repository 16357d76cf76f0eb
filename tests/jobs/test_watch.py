"""`dmm watch` counts from listings alone, on any machine that sees the store, until the run is complete."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Dmm
from tiny import StoppingExecutor, run_serially

from jobs.commands.watch import follow_run, picture
from jobs.options import plain_console
from jobs.running.run_counts import Look, Watcher
from jobs.session import Session
from pipeline.execution.failures import Failure, write_failure
from pipeline.execution.walk import Walk
from pipeline.store.store import Store

Open = Callable[..., Session]


def work(session: Session, n_shards: int) -> None:
    """Make some shards, then stop."""
    with pytest.raises(KeyboardInterrupt):
        Walk(session.graph, session.store, open_executor=lambda: StoppingExecutor(session, n_shards)).run()


def said(look: Look) -> str:
    console = plain_console(file=io.StringIO(), record=True, width=110)
    console.print(picture(look))
    return console.export_text()


def stage(look: Look, name: str) -> tuple[int, int]:
    return next((one.done, one.wanted) for one in look.stages if one.stage == name)


def test_a_watcher_sees_what_is_made_by_whom_and_how_fast(open_tiny: Open) -> None:
    session = open_tiny()
    work(session, 2)
    watcher = Watcher(open_tiny())
    before = watcher.look()
    work(session, 4)
    after = watcher.look()
    assert sum(one.shards for one in after.stages) == sum(one.shards for one in before.stages) + 4 == 6
    assert max(one.pace for one in after.stages) > 0
    assert sum(after.makers.values()) == 4
    assert after.silence < 60
    assert "newest shards by" in said(after)


def test_one_picture_of_a_store_that_has_nothing_yet(open_tiny: Open) -> None:
    look = follow_run(open_tiny(), plain_console(quiet=True), once=True)
    assert (look.is_complete, stage(look, "train")) == (False, (0, 68))
    assert json.loads(json.dumps(look.to_json(), allow_nan=False))["stages"][0]["stage"] == "forget"
    assert "not complete yet" in said(look)


def test_without_a_terminal_a_line_is_printed_now_and_then_until_all_is_done(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, console = open_tiny(), plain_console(file=io.StringIO(), record=True)
    work(session, 3)
    monkeypatch.setattr("jobs.commands.watch.time.sleep", lambda _: run_serially(session))
    assert follow_run(session, console, once=False).is_complete
    lines = console.export_text().splitlines()
    assert "train models" in lines[0]
    assert lines[-1] == "complete"
    # What is done is not listed again.
    watcher = Watcher(session)
    monkeypatch.setattr(Store, "shards", lambda *_: pytest.fail("listed again"))
    assert "complete" in said(watcher.look())


def test_a_log_names_what_was_given_up_once_and_ends_when_nobody_works(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, console, now = open_tiny(), plain_console(file=io.StringIO(), record=True, width=200), [0.0]
    state = session.graph.survey(session.store)["train/full"]
    write_failure(
        session.store,
        state.table.folder,
        "members",
        Failure(key="train/full", start=0, stop=5, error="ValueError: [red]poison"),
    )
    monkeypatch.setattr("jobs.commands.watch.time.sleep", lambda seconds: now.append(now[-1] + seconds))
    monkeypatch.setattr("jobs.commands.watch.time.monotonic", lambda: now[-1])
    assert not follow_run(session, console, once=False, patience=1.0).is_complete
    lines = console.export_text().splitlines()
    assert [line for line in lines if "given up:" in line] == [
        "given up: train/full 0-5: ValueError: [red]poison; `dmm run` tries again"
    ]
    assert lines[0] == lines[3] == "nothing yet"
    assert "No shard was made for" in lines[-1]
    assert "1 shards were given up" in lines[-1]


def test_a_watch_without_a_config_names_what_else_the_store_holds(dmm: Dmm) -> None:
    Path("store/experiments").mkdir(parents=True)
    Path("store/experiments/tiny-0123.json").touch()
    _, _, err = dmm("watch", "--store", "store", "--once")
    assert "holds tiny-0123" in err
    assert "Name the config of one of these: `dmm watch CONFIG --store" in err
    assert "never run" not in dmm("watch", "tiny.yaml", "--store", "store", "--once")[2]


def test_a_watch_that_gives_up_is_a_command_that_fails(dmm: Dmm) -> None:
    assert dmm("watch", "tiny.yaml", "--store", "store", "--patience", "0")[0] == 1
