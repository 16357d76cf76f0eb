"""The commands that answer one question: `dmm attribute`, `klom`, `compare` and `export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.commands import explaining, listing
from jobs.commands.options import DONE, Config, ExecutorName, Json, Set, StoreUri, finish, paper, screen
from jobs.session import open_session
from pipeline.core.errors import ConfigError
from pipeline.core.settings.paths import expanded
from pipeline.core.settings.validation_errors import did_you_mean
from pipeline.sources.easydub_layout import EasyDubLayout

LAYOUTS = ("easydub",)


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
    unlearned: Annotated[
        str | None, typer.Option(metavar="FILE", help="Margins of unlearned models, .npy (n_models, n_points), or a folder of one file a model.")
    ] = None,
    oracle: Annotated[str | None, typer.Option(metavar="FILE", help="Margins of oracles, likewise.")] = None,
    variant: Annotated[str, typer.Option(help="closed, paper, data-unlearning-bench or easydub.")] = "closed",
    n_bins: Annotated[int, typer.Option(help="Bins of the closed variant.")] = 20,
    clip: Annotated[float, typer.Option(help="Margins are clipped to ± this.")] = 100.0,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    layout: Annotated[str | None, typer.Option(metavar="NAME", help="Judge the pretrained models of a whole folder instead: easydub.")] = None,
    root: Annotated[str | None, typer.Option(metavar="DIR", help="That folder, for --layout.")] = None,
    forget_set: Annotated[int | None, typer.Option(help="Number of the forget set, for --layout.")] = None,
    n_models: Annotated[int | None, typer.Option(help="Models of each population, for --layout; all if left out.")] = None,
    dataset: Annotated[str, typer.Option(help="Name of the data set in the paths, for --layout.")] = "cifar10",
    model: Annotated[str, typer.Option(help="Name of the architecture in the paths, for --layout.")] = "resnet9",
    epoch: Annotated[int, typer.Option(help="Epoch in the names of files, for --layout.")] = 23,
    json_: Json = False,
) -> None:
    """Compute KLoM between two arrays of margins, or split by split of a folder in EasyDUB's layout, beside the noise floor of the oracles."""
    from jobs.commands.klom import klom_report
    from jobs.commands.klom_layout import klom_of_layout

    rule: dict[str, Any] = {"variant": variant, "n_bins": n_bins, "clip": clip, "seed": seed}
    if layout is None:
        if unlearned is None or oracle is None or root is not None or forget_set is not None:
            raise ConfigError("`dmm klom` needs --unlearned FILE and --oracle FILE, or --layout easydub with --root DIR and --forget-set NUMBER")
        result = klom_report(unlearned, oracle, **rule)
        shown = listing.show_klom
    else:
        check_layout(layout)
        if root is None or forget_set is None or unlearned is not None or oracle is not None:
            raise ConfigError("--layout needs --root DIR and --forget-set NUMBER, and takes neither --unlearned nor --oracle")
        place = EasyDubLayout(root=expanded(Path(root)), dataset=dataset, model=model, epoch=epoch)
        result = klom_of_layout(place, forget_set, n_models=n_models, **rule)
        shown = listing.show_klom_by_split
    for notice in result["notices"]:
        screen.print(notice, style="yellow", soft_wrap=True)
    shown({name: value for name, value in result.items() if name != "notices"}, paper())
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
    path: Annotated[str, typer.Option("--to", metavar="FILE", help="File to write: .npy, .parquet, or .dat and the like; with --layout a folder.")],
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32, for the matrix.")] = "float16",
    layout: Annotated[str | None, typer.Option(metavar="NAME", help="Write the models instead, as a folder in this layout: easydub.")] = None,
    json_: Json = False,
) -> None:
    """Write the fitted datamodels as a matrix: what each training point adds to each logit of each point; with --layout write the models."""
    from jobs.commands.export import export as write
    from jobs.commands.export_layout import export_easydub

    if layout is not None:
        check_layout(layout)
        result = export_easydub(open_session(config, set_ or (), store), path)
        sets = ", ".join(f"{label} is forget set {number}" for label, number in result["forget_sets"].items())
        where = f"dataset {result['dataset']}, model {result['model']}, epoch {result['epoch']}"
        paper().print(f"{result['path']}: {result['n_models']:,} models of {where}; {sets}", soft_wrap=True)
        paper().print(f"judge the first with: {result['judged_by']}", soft_wrap=True, markup=False, highlight=False)
    else:
        result = write(open_session(config, set_ or (), store), path, dtype=dtype)
        paper().print(f"{result['path']}: {result['dtype']} {tuple(result['shape'])}", soft_wrap=True)
    finish(result, json_, DONE)


def check_layout(layout: str) -> None:
    """Raise ConfigError unless folders are read and written in this layout."""
    if layout not in LAYOUTS:
        raise ConfigError(f"--layout {layout!r} is not known; known: {', '.join(LAYOUTS)}.{did_you_mean(layout, LAYOUTS)}")
