"""What the commands share: common options, consoles, exit statuses, and how a command ends."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from jobs.output_streams import failure
from pipeline.core.errors import ConfigError
from pipeline.core.settings.validation_errors import did_you_mean

DONE, FAILED, BAD_CONFIG, INTERRUPTED = 0, 1, 2, 130
# With this environment variable set to 1, errors show their tracebacks.
DEBUG = "DMM_DEBUG"
# Layouts of model folders that commands read and write.
LAYOUTS = ("easydub",)


def plain_console(**options: Any) -> Console:
    """Return a console that shows text as it is.

    Square brackets and colons in paths and messages are not read as markup, and colour comes only from a
    style.
    """
    return Console(markup=False, highlight=False, emoji=False, **options)


# The console for messages, on standard error. Results go to paper().
screen = plain_console(stderr=True)

Config = Annotated[
    str | None, typer.Argument(help="YAML file; the embedded demonstration if left out.", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one setting, such as populations.subset.n_models=500."
    ),
]
StoreUri = Annotated[
    str | None,
    typer.Option("--store", metavar="URI", help="Where tables are kept (default: store.uri of the config)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
ExecutorName = Annotated[str, typer.Option("--executor", help="ray or serial.")]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Go on with the models there are where shards failed.")
]


def paper() -> Console:
    """Return the console for results, on standard output.

    If standard output is not a terminal, the console is 110 columns wide, which is enough for all tables.
    """
    return plain_console() if sys.stdout.isatty() else plain_console(width=110)


def finish(result: dict[str, Any], as_json: bool, status: int) -> None:
    """End the command with this exit status; with as_json, print the result as one JSON object first."""
    if as_json:
        status = deliver(json.dumps(result, allow_nan=False)) or status
    raise typer.Exit(status)


def deliver(answer: str) -> int:
    """Print an answer for another program, and return the exit status.

    The status is FAILED if the answer cannot be written, so that the program learns of it.
    """
    print(answer)
    sys.stdout.flush()
    error = failure(sys.stdout)
    if error is None:
        return DONE
    screen.print(
        f"dmm: the answer cannot be written to standard output ({error.strerror or error}). Everything "
        "computed is kept; "
        "the same command prints the answer again.",
        style="red",
        soft_wrap=True,
    )
    return FAILED


def check_layout(layout: str) -> None:
    """Raise ConfigError unless layout is known."""
    if layout not in LAYOUTS:
        raise ConfigError(
            f"--layout {layout!r} is not known; known: {', '.join(LAYOUTS)}.{did_you_mean(layout, LAYOUTS)}"
        )
