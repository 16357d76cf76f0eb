"""`dmm klom`: KLoM of margins that exist already, in files or in a folder in EasyDUB's layout."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from jobs.options import DONE, Json, check_layout, finish, paper, screen
from pipeline.core.errors import ConfigError
from pipeline.core.settings.paths import expanded
from pipeline.results.tables import Cell, Column, Tone, number_column, row_of, table_of
from pipeline.show.terminal import TerminalTable
from pipeline.sources.easydub_layout import EasyDubLayout


def klom(
    unlearned: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Margins of unlearned models, .npy (n_models, n_points), or a folder of one file a model.",
        ),
    ] = None,
    oracle: Annotated[str | None, typer.Option(metavar="FILE", help="Margins of oracles, likewise.")] = None,
    variant: Annotated[str, typer.Option(help="closed, paper, data-unlearning-bench or easydub.")] = "closed",
    n_bins: Annotated[int, typer.Option(help="Bins of the closed variant.")] = 20,
    clip: Annotated[float, typer.Option(help="Margins are clipped to ± this.")] = 100.0,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Judge the pretrained models of a whole folder instead: easydub."),
    ] = None,
    root: Annotated[str | None, typer.Option(metavar="DIR", help="That folder, for --layout.")] = None,
    forget_set: Annotated[int | None, typer.Option(help="Number of the forget set, for --layout.")] = None,
    n_models: Annotated[
        int | None, typer.Option(help="Models of each population, for --layout; all if left out.")
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="Name of the data set in the paths, for --layout.")
    ] = "cifar10",
    model: Annotated[
        str, typer.Option(help="Name of the architecture in the paths, for --layout.")
    ] = "resnet9",
    epoch: Annotated[int, typer.Option(help="Epoch in the names of files, for --layout.")] = 23,
    json_: Json = False,
) -> None:
    """Compute KLoM of margins in two files, or of a folder in EasyDUB's layout split by split.

    Shows the noise floor of the oracles beside it. Needs no config and trains nothing.
    """
    from jobs.answers.klom_easydub import klom_of_layout
    from jobs.answers.klom_files import klom_report

    rule: dict[str, Any] = {"variant": variant, "n_bins": n_bins, "clip": clip, "seed": seed}
    if layout is None:
        if unlearned is None or oracle is None or root is not None or forget_set is not None:
            raise ConfigError(
                "`dmm klom` needs --unlearned FILE and --oracle FILE, or --layout easydub with --root DIR "
                "and --forget-set NUMBER"
            )
        result = klom_report(unlearned, oracle, **rule)
        shown = show_klom
    else:
        check_layout(layout)
        if root is None or forget_set is None or unlearned is not None or oracle is not None:
            raise ConfigError(
                "--layout needs --root DIR and --forget-set NUMBER, and takes neither --unlearned nor "
                "--oracle"
            )
        place = EasyDubLayout(root=expanded(Path(root)), dataset=dataset, model=model, epoch=epoch)
        result = klom_of_layout(place, forget_set, n_models=n_models, **rule)
        shown = show_klom_by_split
    for notice in result["notices"]:
        screen.print(notice, style="yellow", soft_wrap=True)
    shown({name: value for name, value in result.items() if name != "notices"}, paper())
    finish(result, json_, DONE)


def show_klom(result: dict[str, Any], console: Console) -> None:
    """Print KLoM beside its floor, and how many margins were left out or clipped."""
    floor = result["floor"]
    note = "with fewer than 4 oracles it is not known" if floor is None else floor["note"]
    columns = (
        Column(),
        *(number_column(name, digits=3) for name in ("95th percentile", "mean")),
        number_column("models"),
    )
    values = [
        Cell(value=result[name], interval=tuple(result[f"{name}_interval"])) for name in ("p95", "mean")
    ]
    rows = [row_of("unlearned", *values, f"{result['n_unlearned']:,} and {result['n_oracles']:,}")]
    if floor is not None:
        n_models = f"{floor['n_models']:,} and {floor['n_models']:,}"
        rows.append(row_of("noise floor", floor["p95"], floor["mean"], n_models, tone=Tone.REFERENCE))
    caption = f"KLoM of {result['n_points']:,} points, in nats"
    notes = [f"Variant {result['variant']}. Beside values their 95 % intervals. Noise floor: {note}."]
    console.print(TerminalTable(table_of(columns, rows, caption=caption, notes=notes)))
    left_out = [
        f"{result[key]:,} {what}"
        for key, what in (("n_nonfinite", "not finite"), ("n_clipped", "clipped"))
        if result[key]
    ]
    if left_out:
        console.print(f"Margins: {' and '.join(left_out)}.", style="yellow")


def show_klom_by_split(result: dict[str, Any], console: Console) -> None:
    """Print KLoM of a folder of models and oracles on each split, beside the noise floor."""
    what = (
        f"forget set {result['forget_set']}, {result['n_unlearned']:,} models against "
        f"{result['n_oracles']:,} oracles"
    )
    numbers = (number_column(name, digits=4) for name in ("95th percentile", "noise floor", "mean"))
    columns = (Column("split"), *numbers, number_column("points"))
    rows = []
    for split, found in result["splits"].items():
        p95, mean = (
            Cell(value=found[name], interval=tuple(found[f"{name}_interval"])) for name in ("p95", "mean")
        )
        floor = None if found["floor"] is None else found["floor"]["p95"]
        rows.append(row_of(split, p95, floor, mean, found["n_points"]))
    notes = [
        f"Variant {result['variant']}. Beside values their 95 % intervals. Noise floor: two disjoint halves "
        "of the oracles."
    ]
    console.print(
        TerminalTable(
            table_of(columns, rows, caption=f"KLoM of {result['root']}, {what}, in nats", notes=notes)
        )
    )
    left_out = sum(found["n_nonfinite"] for found in result["splits"].values())
    if left_out:
        console.print(f"Margins: {left_out:,} not finite.", style="yellow")
