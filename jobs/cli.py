"""The `dmm` command.

Exit statuses: 0 all done; 1 something failed, and the message names it; 2 a setting is wrong; 130
interrupted.
"""

import errno
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib import metadata
from types import TracebackType
from typing import Annotated, Any

import typer

from jobs.commands import study_commands
from jobs.commands.attribute import attribute
from jobs.commands.compare import compare
from jobs.commands.config import config
from jobs.commands.export import export
from jobs.commands.klom import klom
from jobs.commands.plan import plan
from jobs.commands.run import run
from jobs.commands.status import status
from jobs.commands.submit import DetachedError, submit
from jobs.commands.ui import ui
from jobs.commands.verify import verify
from jobs.commands.watch import watch
from jobs.options import BAD_CONFIG, DEBUG, DONE, FAILED, INTERRUPTED, screen
from jobs.output_streams import failure, steady_streams
from pipeline.core.errors import ConfigError, DataError, PipelineError, ShapeError
from pipeline.core.plugin_calls import say
from pipeline.core.settings.renamed import RenamedWarning

# All commands, in the order in which `dmm --help` lists them.
COMMANDS: tuple[Callable[..., None], ...] = (
    run,
    submit,
    plan,
    status,
    watch,
    verify,
    attribute,
    klom,
    compare,
    export,
    *study_commands.STUDY_COMMANDS,
    config,
    ui,
)


def paragraphs(command: Callable[..., None]) -> str:
    """Return the docstring of a command with each paragraph on one line.

    The help page wraps the lines to the width of the terminal.
    """
    return "\n\n".join(" ".join(part.split()) for part in (command.__doc__ or "").split("\n\n"))


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Machine unlearning by data attribution: train, attribute, unlearn, judge.",
)
for command in COMMANDS:
    app.command(help=paragraphs(command))(command)


def show_version(asked: bool) -> None:
    """Print the version of this package and end, if asked."""
    if asked:
        print(f"dmm {metadata.version('datamodel-matching')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=show_version),
    ] = False,
) -> None:
    """Hold the options of `dmm` itself; each command has its own."""


class EndSignal(KeyboardInterrupt):
    """The exception that Ending raises when a signal asks the process to end.

    If a plain KeyboardInterrupt passes through a call of `exec`, `python -m` kills itself by SIGINT at exit,
    even if the exception was caught, and the exit status is lost. It does not do so for a subclass.
    """


class Ending:
    """A context manager in which SIGTERM, SIGINT and SIGHUP raise EndSignal.

    After a signal, it suppresses every exception that leaves the block, because other code may raise one of
    its own when it is interrupted. If SIGHUP is ignored from the start, as under `nohup`, it stays ignored.
    """

    def __init__(self) -> None:
        self.is_told = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Ending":
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._tell) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            # After a signal SIGHUP stays ignored. A terminal that closes may send it twice, and the default
            # handler would end the process before it has cleaned up.
            is_second = self.is_told and number == signal.SIGHUP
            signal.signal(number, signal.SIG_IGN if is_second else handler)
        return self.is_told

    def _tell(self, signum: int, frame: object) -> None:
        # A terminal that closes sends SIGHUP twice, from the kernel and from the shell. The second must not
        # interrupt the shutdown.
        if signum == signal.SIGHUP and self.is_told:
            return
        self.is_told = True
        raise EndSignal


def main_of(command: Callable[..., None]) -> None:
    """Run a command line that has only this command, as `python -m jobs.run` does."""
    commands = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    commands.command(help=paragraphs(command))(command)
    main(commands)


def main(commands: typer.Typer = app) -> None:
    """Run a command line, then exit with its status.

    Every error raised on purpose becomes one message and an exit status, never a traceback.
    """
    warnings.showwarning = _show_warning
    exit_status, last = (
        INTERRUPTED,
        "interrupted. Everything finished is kept; the same command goes on from here.",
    )
    with steady_streams():
        with Ending() as ending:
            try:
                exit_status = _status_of(commands, ending)
            except DetachedError as left:
                last = str(left)
        _say_what_is_not_shown()
        if exit_status == INTERRUPTED:
            screen.print(f"dmm: {last}", soft_wrap=True)
    sys.exit(exit_status)


def _status_of(commands: typer.Typer, ending: Ending) -> int:
    """Run a command line and return its exit status.

    Raises DetachedError if the user stops following a job that goes on running. An error after a signal is
    raised again, and Ending suppresses it, because the signal probably caused it.
    """
    try:
        commands()
    except DetachedError:
        raise
    except PipelineError as error:
        return _refuse(
            str(error), BAD_CONFIG if isinstance(error, ConfigError | DataError | ShapeError) else FAILED
        )
    # Any other exception is a defect of dmm. The user gets a message instead of a traceback.
    except Exception as error:
        if ending.is_told:
            raise
        return _refuse(_defect(error), FAILED)
    except SystemExit as ended:
        # Typer ends every command with SystemExit. After an interrupt its status is 130, without a message.
        if isinstance(ended.code, str):
            return _refuse(ended.code, FAILED)
        status = ended.code if isinstance(ended.code, int) else DONE
        if status == BAD_CONFIG:
            _say_in_json("the command line was not understood; see `dmm --help`", status)
        return status
    return DONE


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Show a renamed setting as a notice, and other warnings as Python does."""
    if issubclass(category, RenamedWarning):
        screen.print(f"dmm: {message}", style="yellow", soft_wrap=True)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *where[:2]))


def _say_what_is_not_shown() -> None:
    """Print a message if standard output could not be written, such as to a full disk.

    No message is printed if standard output was closed, by its reader or before the start. With --json the
    command itself reports the error.
    """
    error = failure(sys.stdout)
    if error is not None and error.errno not in (errno.EPIPE, errno.EBADF) and "--json" not in sys.argv:
        reason = error.strerror or error
        screen.print(
            f"dmm: standard output cannot be written ({reason}); everything computed is kept",
            style="red",
            soft_wrap=True,
        )


def _defect(error: Exception) -> str:
    """Return the message for an error that was not raised on purpose."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    hint = "" if os.environ.get(DEBUG) == "1" else f" Set {DEBUG}=1 to see the traceback."
    return (
        f"this is a defect of dmm: {say(error)} ({last.filename} line {last.lineno}). Finished shards are "
        f"kept.{hint}"
    )


def _refuse(message: str, status: int) -> int:
    """Print why the command ends, and return status.

    Call this in an except block: with DMM_DEBUG=1 it also prints the traceback of the current exception.
    """
    if os.environ.get(DEBUG) == "1":
        screen.print(traceback.format_exc(), soft_wrap=True)
    screen.print(f"dmm: {message}", style="red", soft_wrap=True)
    _say_in_json(message, status)
    return status


def _say_in_json(message: str, status: int) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "exit_status": status}))
