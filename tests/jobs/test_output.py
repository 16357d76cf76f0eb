"""Users' texts are shown unchanged.

A closed, full or broken standard stream changes only what is shown.
"""

import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
import typer
from terminal import Dmm

from jobs import cli
from jobs.options import plain_console
from jobs.output_streams import SteadyStream, steady_streams
from pipeline.results.tables import Column, row_of, table_of
from pipeline.show.terminal import TerminalTable

LOOKS = (
    ("run", "--executor", "serial"),
    ("status",),
    ("plan",),
    ("verify",),
    ("watch", "--once"),
    ("attribute", "--target", "3", "--executor", "serial"),
)


@pytest.mark.parametrize("name", ["a[/x]", "run [v2]", 'it\'s "q" [bold]x[/bold]', "a:smile:b", "[link=x]"])
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look[0])
def test_a_path_is_shown_as_it_is(
    dmm: Dmm, whole: Path, tmp_path: Path, name: str, look: tuple[str, ...]
) -> None:
    shutil.copytree(whole, tmp_path / name, copy_function=os.link)
    verb, *more = look
    status, out, err = dmm(verb, "tiny.yaml", "--store", name, *more)
    assert (status, err) == (0, "")
    assert str(tmp_path / name) in out


@pytest.mark.parametrize(
    "text", ["[/]", "[bold]x[/bold]", "[red]", ":smile:", "\\[x]", "17 'quoted' https://x"]
)
def test_a_console_adds_nothing_to_a_text_and_takes_nothing_away(text: str) -> None:
    out = io.StringIO()
    console = plain_console(file=out, force_terminal=True, width=100)
    console.print(text)
    console.print(TerminalTable(table_of([Column(text)], [row_of(text)], caption=text)))
    assert out.getvalue().startswith(f"{text}\n")
    assert out.getvalue().count(text) == 4


def _closed() -> None:
    return None


def _full() -> TextIO:
    return open("/dev/full", "w")


def _broken() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


@pytest.fixture(params=[_closed, _full, _broken])
def lost(request: pytest.FixtureRequest) -> Iterator[TextIO | None]:
    stream = request.param()
    yield stream
    if stream is not None:
        stream.close()


@pytest.mark.parametrize(("arguments", "expected"), [((), 0), (("--json",), 1)])
def test_what_cannot_be_shown_is_still_computed_and_a_program_that_gets_no_answer_knows(
    dmm: Dmm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: TextIO | None,
    arguments: tuple[str, ...],
    expected: int,
) -> None:
    monkeypatch.setattr(sys, "stdout", lost)
    status, _, err = dmm(
        "run", "tiny.yaml", "--store", "store", "--executor", "serial", "--until", "forget", *arguments
    )
    assert status == expected
    assert ("the answer cannot be written to standard output" in err) == bool(expected)
    assert list((tmp_path / "store").glob("forget/*/*/*.parquet"))


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_an_error_keeps_its_status_where_nobody_can_read_it(
    dmm: Dmm, monkeypatch: pytest.MonkeyPatch, lost: TextIO | None, name: str
) -> None:
    monkeypatch.setattr(sys, name, lost)
    assert dmm("plan", "nowhere.yaml", "--json")[0] == 2


def test_a_stream_is_given_up_at_its_first_error() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    stream = SteadyStream(Full())
    assert (stream.write("a"), stream.write("bc")) == (1, 2)
    assert str(stream.error) == "[Errno 28] No space left on device"


def test_a_letter_that_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with steady_streams():
        print("2 × 3 \udcff")
    assert written.getvalue() == b"2 \\xd7 3 \\udcff\n"


def ended_by(number: int, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit status of a command that gets a signal, and what it says."""
    commands = typer.Typer()
    commands.command()(lambda: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as ended:
        cli.main(commands)
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.fixture
def handling() -> Iterator[Callable[[signal.Handlers], None]]:
    # A test that ran before, or whoever started the suite, may have left SIGHUP ignored.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_is_an_interrupt_with_a_word(
    number: int,
    handling: Callable[[signal.Handlers], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["dmm"])
    status, said = ended_by(number, capsys)
    assert status == 130
    assert said.startswith("dmm: interrupted. Everything finished is kept")


def test_a_hang_up_that_is_ignored_stays_ignored(
    handling: Callable[[signal.Handlers], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["dmm"])
    handling(signal.SIG_IGN)
    assert ended_by(signal.SIGHUP, capsys) == (0, "")


def test_a_second_hang_up_does_not_stop_the_ending() -> None:
    ending = cli.Ending()
    with pytest.raises(KeyboardInterrupt):
        ending._tell(signal.SIGHUP, None)
    ending._tell(signal.SIGHUP, None)
    assert ending.is_told
