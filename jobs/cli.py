"""The `dmm` command: small verbs over a session. Exit status: 0 all done; 1 something failed, named; 2 a setting is wrong; 130 interrupted."""

import json
import signal
import sys

import typer

from jobs.commands import asking, computing, looking
from jobs.commands.options import BAD_CONFIG, DONE, FAILED, INTERRUPTED, screen
from jobs.commands.submit import DetachedError, submit
from pipeline.core.errors import ConfigError, DataError, PipelineError, ShapeError

# In the order in which `dmm --help` lists them.
VERBS = (
    computing.run,
    submit,
    looking.plan,
    looking.status,
    looking.watch,
    computing.verify,
    asking.attribute,
    asking.klom,
    asking.export,
    looking.config,
    looking.ui,
)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Machine unlearning by data attribution: train, attribute, unlearn, judge."
)
for verb in VERBS:
    app.command()(verb)


def main(commands: typer.Typer = app) -> None:
    """Run a command line; every error raised on purpose is one message and an exit status, never a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        commands()
    except PipelineError as error:
        status = _refuse(str(error), BAD_CONFIG if isinstance(error, ConfigError | DataError | ShapeError) else FAILED)
    except DetachedError as left:
        screen.print(f"dmm: {left}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as ended:
        # Typer ends every command this way, and turns an interrupt into 130 without a word.
        status = ended.code if isinstance(ended.code, int) else DONE
        if status == BAD_CONFIG:
            _say_in_json("the command line was not understood; see `dmm --help`", status)
    if status == INTERRUPTED:
        screen.print("dmm: interrupted. Everything finished is kept; the same command goes on from here.", highlight=False, soft_wrap=True)
    sys.exit(status)


def _terminate(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _refuse(message: str, status: int) -> int:
    screen.print(f"dmm: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    _say_in_json(message, status)
    return status


def _say_in_json(message: str, status: int) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "exit_status": status}))
