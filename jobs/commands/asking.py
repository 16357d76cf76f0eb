"""The commands that answer one question: `dmm attribute`, `klom`, `compare` and `export`."""

from typing import Annotated

import typer

from jobs.commands import explaining, listing
from jobs.commands.options import DONE, Config, ExecutorName, Json, Set, StoreUri, finish, paper, screen
from jobs.session import open_session
from pipeline.core.errors import ConfigError


def attribute(
    config: Config = None,
    target: Annotated[str | None, typer.Option(metavar="ID", help="Point to explain, of training or validation.")] = None,
    forget: Annotated[str | None, typer.Option(metavar="LABEL", help="Forget set of the config whose removal to predict, instead.")] = None,
    top: Annotated[int, typer.Option(help="Points listed on either side.")] = 8,
    class_: Annotated[str, typer.Option("--class", metavar="CLASS", help="Explain the logit of this class; the margin if left out.")] = "margin",
    output: Annotated[str | None, typer.Option(metavar="FILE.png", help="Where the picture goes; into the store if left out.")] = None,
    set_: Set = None,
    store: StoreUri = None,
    executor: ExecutorName = "ray",
    json_: Json = False,
) -> None:
    """Show which training points help and hurt a point (--target), or what removing a forget set will change (--forget), before any unlearning."""
    from jobs.commands.attribute import attribute_point, predict_removal

    session = open_session(config, set_ or (), store)
    if (target is None) == (forget is None):
        raise ConfigError("`dmm attribute` explains one thing: give either --target ID or --forget LABEL")
    if forget is not None and class_ != "margin":
        raise ConfigError(f"--class {class_}: the removal of a set is predicted for margins; leave --class out, or give --target")
    if target is not None:
        result = attribute_point(session, screen, target=target, top=top, output=class_, picture=output, executor=executor)
        explaining.show_influences(result, paper())
    else:
        result = predict_removal(session, screen, label=str(forget), top=top, picture=output, executor=executor)
        explaining.show_forecast(result, paper())
    finish(result, json_, DONE)


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
    from jobs.commands.klom import klom_report

    result = klom_report(unlearned, oracle, variant=variant, n_bins=n_bins, clip=clip, seed=seed)
    for notice in result["notices"]:
        screen.print(notice, style="yellow", soft_wrap=True)
    listing.show_klom({name: value for name, value in result.items() if name != "notices"}, paper())
    finish(result, json_, DONE)


def compare(
    configs: Annotated[
        list[str], typer.Argument(metavar="CONFIG CONFIG ...", help="YAML files of experiments that were run in one store.", show_default=False)
    ],
    set_: Set = None,
    store: StoreUri = None,
    json_: Json = False,
) -> None:
    """Show finished experiments side by side on one page: methods × experiments for each forget set that all of them have. Computes nothing."""
    from jobs.commands.compare import compare as put_side_by_side

    result = put_side_by_side(configs, lambda path: open_session(path, set_ or (), store), screen)
    listing.show_comparison(result.content, result.page, paper())
    finish(result.to_json(), json_, DONE)


def export(
    path: Annotated[str, typer.Option("--to", metavar="FILE", help="File to write: .npy, .parquet, or .dat and the like for bare numbers.")],
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
    json_: Json = False,
) -> None:
    """Write the fitted datamodels as a matrix: what each training point adds to each logit of each point."""
    from jobs.commands.export import export as write

    result = write(open_session(config, set_ or (), store), path, dtype=dtype)
    paper().print(f"{result['path']}: {result['dtype']} {tuple(result['shape'])}", soft_wrap=True)
    finish(result, json_, DONE)
