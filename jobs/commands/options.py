"""What the commands share: options that mean the same everywhere, where words and answers go, and how a command ends."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

DONE, FAILED, BAD_CONFIG, INTERRUPTED = 0, 1, 2, 130
# With this environment variable set to 1, errors show their tracebacks.
DEBUG = "DMM_DEBUG"

screen = Console(stderr=True)

Config = Annotated[str | None, typer.Argument(help="YAML file; the embedded demonstration if left out.", show_default=False)]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, such as populations.subset.n_models=500.")]
StoreUri = Annotated[str | None, typer.Option("--store", metavar="URI", help="Where tables are kept (default: store.uri of the config).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
ExecutorName = Annotated[str, typer.Option("--executor", help="ray or serial.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Go on with the models there are where shards failed.")]


def paper() -> Console:
    """Return standard output, wide enough for the tables where nobody's window limits it."""
    return Console() if sys.stdout.isatty() else Console(width=110)


def finish(result: dict[str, Any], as_json: bool, status: int) -> None:
    """End the command with this exit status, after the object that --json promises."""
    if as_json:
        print(json.dumps(result, allow_nan=False))
    raise typer.Exit(status)
