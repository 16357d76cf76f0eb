"""The progress of a run as users see it: bars on a terminal, lines elsewhere."""

import io
import re
from collections.abc import Callable

import pytest
from tiny import run_serially

from jobs.options import plain_console
from jobs.running import progress_display as module
from jobs.running.progress_display import BarDisplay, LineDisplay, duration_in_words, open_display
from jobs.session import Session
from pipeline.execution.progress import Progress

Open = Callable[..., Session]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "?"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (360000, "100 h 0 min"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float | None, words: str) -> None:
    assert duration_in_words(seconds) == words


def test_lines_say_what_is_busy_and_how_fast(open_tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.0)
    out = io.StringIO()
    display = open_display(plain_console(file=out, width=200))
    assert isinstance(display, LineDisplay)
    run_serially(open_tiny(), listeners=[display], until="train")
    assert re.search(r"train models \d+/\d+ .* models/s · \d+ s left", out.getvalue())


def test_what_is_left_of_models_is_not_said_while_others_work(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.0)
    states = open_tiny().graph.survey(open_tiny().store)
    out = io.StringIO()
    for running in ({"fit": 1}, {"fit": 1, "train/subset": 1}):
        progress = Progress(states=states, wanted=frozenset(states), running=running, n_models_made=50)
        LineDisplay(plain_console(file=out, width=200)).changed(progress)
    assert [("models/s" in line) for line in out.getvalue().splitlines()] == [False, True]


def test_bars_reach_their_end_for_every_stage(open_tiny: Open) -> None:
    out = io.StringIO()
    display = open_display(plain_console(file=out, force_terminal=True, width=120))
    assert isinstance(display, BarDisplay)
    session = open_tiny()
    run_serially(session, listeners=[display])
    display.stop()
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).rsplit("resolve forget sets", 1)[1]
    assert re.findall(r"(\d+)/(\d+)", last) == [(count, count) for count in (re.findall(r"/(\d+)", last))]
    reached = {node.title for node in session.graph.nodes.values()} - {"resolve forget sets"}
    assert all(title in last for title in reached)
