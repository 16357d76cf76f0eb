"""The `dmm` command: small verbs over a session. Exit status: 0 all done; 1 something failed, named; 2 a setting is wrong; 130 interrupted."""

import json
import signal
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from jobs import listing, verbs
from jobs.enough import find_enough
from jobs.session import open_session, read_experiment
from pipeline.config import Experiment
from pipeline.core.errors import ConfigError, DataError, PipelineError, ShapeError
from pipeline.run import wanted_keys
from pipeline.stages.curve import WORTHWHILE

DONE, FAILED, BAD_CONFIG, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Machine unlearning by data attribution: train, attribute, unlearn, judge."
)
screen = Console(stderr=True)

Config = Annotated[str | None, typer.Argument(help="YAML file; the embedded demonstration if left out.", show_default=False)]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, such as populations.subset.n_models=500.")]
StoreUri = Annotated[str | None, typer.Option("--store", metavar="URI", help="Where tables are kept (default: store.uri of the config).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


@app.command()
def run(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.")] = None,
    executor: Annotated[str, typer.Option(help="ray or serial.")] = "ray",
    until_enough: Annotated[bool, typer.Option("--until-enough", help="Train subset models in doublings, and no more once they score hardly better.")] = False,
    tolerance: Annotated[float, typer.Option(help="LDS that a doubling must gain to be worth it, for --until-enough.")] = WORTHWHILE,
    allow_missing: Annotated[bool, typer.Option(help="Go on with the models there are where shards failed.")] = False,
    json_: Json = False,
) -> None:
    """Compute everything that does not exist yet, judge it and write the report; run it again to resume."""
    session = open_session(config, set_ or (), store)
    # A stage that does not exist is refused before models are trained to find out how many are enough.
    wanted_keys(session.graph, until)
    enough = find_enough(session, screen, executor=executor, tolerance=tolerance, allow_missing=allow_missing) if until_enough else None
    unknown = enough is not None and enough.gain is None
    session = session if enough is None else enough.session
    # Where nobody knows whether the models are enough, none are judged that rest on them.
    result = verbs.run(session, screen, executor=executor, until="score" if unknown else until, allow_missing=allow_missing)
    listing.show_run(result, _paper(), session)
    status = FAILED if result.failures or unknown else DONE
    _finish(result.to_json() | ({} if enough is None else {"enough": enough.to_json()}), json_, status)


@app.command()
def plan(config: Config = None, set_: Set = None, store: StoreUri = None, json_: Json = False) -> None:
    """Say what exists, what will be trained and what that costs, before anything is."""
    result = verbs.plan(open_session(config, set_ or (), store))
    listing.show_plan(result, _paper())
    _finish(result, json_, DONE)


@app.command()
def status(config: Config = None, set_: Set = None, store: StoreUri = None, json_: Json = False) -> None:
    """Say what of an experiment is done, partial, missing, stale or waiting."""
    result = verbs.status(open_session(config, set_ or (), store))
    listing.show_status(result, _paper())
    _finish(result, json_, DONE)


@app.command()
def watch(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end, for logs.")] = False,
    json_: Json = False,
) -> None:
    """Look on while a run works, from any machine that sees its store, until it is complete."""
    from jobs.watch import watch as look_on

    look = look_on(open_session(config, set_ or (), store), _paper(), once=once)
    _finish(look.to_json(), json_, DONE)


@app.command()
def verify(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    repair: Annotated[bool, typer.Option("--repair", help="Set bad files aside and compute just their shards again.")] = False,
    executor: Annotated[str, typer.Option(help="ray or serial, for --repair.")] = "ray",
    json_: Json = False,
) -> None:
    """Read every byte of the store and name files that are corrupt, foreign or half-written."""
    session = open_session(config, set_ or (), store)
    result = verbs.verify(session, screen, repair=repair, executor=executor)
    listing.show_verify(result, _paper())
    _finish(result, json_, DONE if result["ok"] else FAILED)


@app.command()
def attribute(
    config: Config = None,
    target: Annotated[int | None, typer.Option(metavar="ID", help="Point to explain, of training or validation.")] = None,
    forget: Annotated[str | None, typer.Option(metavar="LABEL", help="Forget set of the config whose removal to predict, instead.")] = None,
    top: Annotated[int, typer.Option(help="Points listed on either side.")] = 8,
    class_: Annotated[str, typer.Option("--class", metavar="CLASS", help="Explain the logit of this class; the margin if left out.")] = "margin",
    output: Annotated[str | None, typer.Option(metavar="FILE.png", help="Where the picture goes; into the store if left out.")] = None,
    set_: Set = None,
    store: StoreUri = None,
    executor: Annotated[str, typer.Option(help="ray or serial.")] = "ray",
    json_: Json = False,
) -> None:
    """Show which training points help and hurt a point (--target), or what removing a forget set will change (--forget), before any unlearning."""
    from jobs.attribute import attribute_point, predict_removal

    session = open_session(config, set_ or (), store)
    if (target is None) == (forget is None):
        raise ConfigError("`dmm attribute` explains one thing: give either --target ID or --forget LABEL")
    if target is not None:
        result = attribute_point(session, screen, target=target, top=top, output=class_, picture=output, executor=executor)
        listing.show_influences(result, _paper())
    else:
        result = predict_removal(session, screen, label=str(forget), top=top, picture=output, executor=executor)
        listing.show_forecast(result, _paper())
    _finish(result, json_, DONE)


@app.command()
def klom(
    unlearned: Annotated[str, typer.Option(metavar="FILE", help="Margins of unlearned models, .npy (n_models, n_points), or a folder of one file a model.")],
    oracle: Annotated[str, typer.Option(metavar="FILE", help="Margins of oracles, likewise.")],
    variant: Annotated[str, typer.Option(help="closed, paper, data-unlearning-bench or easydub.")] = "closed",
    n_bins: Annotated[int, typer.Option(help="Bins of the closed variant.")] = 20,
    clip: Annotated[float, typer.Option(help="Margins are clipped to ± this.")] = 100.0,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    json_: Json = False,
) -> None:
    """Compute KLoM between two arrays of margins, beside the noise floor of the oracles."""
    from jobs.klom_command import klom_report

    result = klom_report(unlearned, oracle, variant=variant, n_bins=n_bins, clip=clip, seed=seed)
    listing.show_klom(result, _paper())
    _finish(result, json_, DONE)


@app.command()
def export(
    path: Annotated[str, typer.Option("--to", metavar="FILE", help="File to write: .npy, or bare numbers under any other name.")],
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
    json_: Json = False,
) -> None:
    """Write the fitted datamodels as a matrix: what each training point adds to each logit of each point."""
    from jobs.export_command import export as write

    result = write(open_session(config, set_ or (), store), path, dtype=dtype)
    _paper().print(f"{result['path']}: {result['dtype']} {tuple(result['shape'])}", highlight=False, soft_wrap=True)
    _finish(result, json_, DONE)


@app.command("config")
def config_(
    config: Config = None,
    set_: Set = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the whole config, every default filled in.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a config.")] = False,
) -> None:
    """Check a config without its data, print it whole, or print its schema."""
    if schema:
        print(json.dumps(Experiment.model_json_schema(), indent=1))
        return
    experiment = read_experiment(config, set_ or (), None)
    print(experiment.to_yaml() if print_ else f"{config or 'the demonstration'} is a valid config (digest {experiment.digest})")


@app.command()
def ui(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to bind to; others can reach it only if you widen this.")] = "127.0.0.1",
) -> None:
    """Open the MLflow UI on this store."""
    verbs.ui(read_experiment(config, set_ or (), store), host=host, port=port)


def _paper() -> Console:
    """Return standard output, wide enough for the tables where nobody's window limits it."""
    return Console() if sys.stdout.isatty() else Console(width=110)


def _finish(result: dict[str, Any], as_json: bool, status: int) -> None:
    if as_json:
        print(json.dumps(result, allow_nan=False))
    raise typer.Exit(status)


def _terminate(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every error raised on purpose is one message and an exit status, never a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except PipelineError as error:
        status = _refuse(str(error), BAD_CONFIG if isinstance(error, ConfigError | DataError | ShapeError) else FAILED)
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


def _refuse(message: str, status: int) -> int:
    screen.print(f"dmm: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    _say_in_json(message, status)
    return status


def _say_in_json(message: str, status: int) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "exit_status": status}))
