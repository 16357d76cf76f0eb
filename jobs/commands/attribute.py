"""`dmm attribute`: which points help or hurt a point, and what removing a forget set will change."""

from dataclasses import fields
from typing import Annotated, Any

import typer
from rich.console import Console

from jobs.options import DONE, Config, ExecutorName, Json, Set, StoreUri, finish, paper, screen
from jobs.session import open_session
from pipeline.core.errors import ConfigError
from pipeline.results.attribution_content import SplitForecast
from pipeline.results.formatting import signed
from pipeline.results.tables import Column, Row, Section, Table, number_column, row_of
from pipeline.show.report.report_tables import forecast_table
from pipeline.show.terminal import TerminalTable


def attribute(
    config: Config = None,
    target: Annotated[
        str | None, typer.Option(metavar="ID", help="Point to explain, of training or validation.")
    ] = None,
    forget: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Forget set of the config whose removal to predict, instead."),
    ] = None,
    top: Annotated[int, typer.Option(help="Points listed on either side.")] = 8,
    class_: Annotated[
        str,
        typer.Option(
            "--class", metavar="CLASS", help="Explain the logit of this class; the margin if left out."
        ),
    ] = "margin",
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Where the picture goes; into the store if left out."),
    ] = None,
    set_: Set = None,
    store: StoreUri = None,
    executor: ExecutorName = "ray",
    json_: Json = False,
) -> None:
    """Show which points help and hurt a point (--target), or what a removal will change (--forget).

    Computes the datamodel first if it is missing, and nothing else.
    """
    from jobs.answers.attribution import attribute_point, predict_removal

    session = open_session(config, set_ or (), store)
    if (target is None) == (forget is None):
        raise ConfigError("`dmm attribute` needs exactly one of --target ID and --forget LABEL")
    if forget is not None and class_ != "margin":
        raise ConfigError(
            f"--class {class_} cannot be combined with --forget, which predicts margins; leave "
            "--class out, or use --target"
        )
    if target is not None:
        result = attribute_point(
            session, screen, target=target, top=top, output=class_, picture=output, executor=executor
        )
        show_influences(result, paper())
    else:
        result = predict_removal(
            session, screen, label=str(forget), top=top, picture=output, executor=executor
        )
        show_forecast(result, paper())
    finish(result, json_, DONE)


def show_influences(result: dict[str, Any], console: Console) -> None:
    """Print the training points that help and hurt a point, strongest first."""
    target = result["target"]
    what = (
        f"What helps and hurts {target['split']} point {target['id']} (label {target['label']}): its "
        f"{result['output']}, in {result['unit']}"
    )
    console.print(what, style="bold", soft_wrap=True)
    columns = (
        Column("training point"),
        Column("label"),
        number_column("weight", show=_weight),
        number_column("± standard error", digits=3),
    )
    sections = tuple(
        Section(title=heading, rows=tuple(_influence(one, target) for one in result[side]))
        for side, heading in (("helpful", "helps"), ("harmful", "hurts"))
    )
    console.print(TerminalTable(Table(columns=columns, sections=sections)))
    if not (result["helpful"] or result["harmful"]):
        console.print(
            "No training point has an effect above the noise with this number of models. Train more models."
        )
    flipped = sum(row["is_flipped"] for row in result["harmful"])
    if flipped:
        console.print(
            f"{flipped} of the {len(result['harmful'])} points that hurt most carry a label that was flipped "
            "on purpose (given → true)."
        )
    learnt = "" if result["n_models"] is None else f" Learnt from {result['n_models']:,} models."
    known = "" if result["r2"] is None else f" R² on held-out models: {result['r2']:.2f}."
    console.print(
        f"Weight: the change of the {result['output']} if that one point were removed, "
        f"negated.{learnt}{known}",
        style="dim",
    )
    console.print(f"Picture: {result['picture']}", soft_wrap=True)


def show_forecast(result: dict[str, Any], console: Console) -> None:
    """Print what removing a forget set will change, in words and for the points that change most."""
    console.print(
        f"If {result['forget_set']} were removed, the datamodel predicts, before anything is unlearned:",
        style="bold",
    )
    for sentence in result["words"]:
        console.print(f"  {sentence}")
    names = [field.name for field in fields(SplitForecast)]
    splits = {
        split: SplitForecast(**{name: found.get(name) for name in names})
        for split, found in result["splits"].items()
    }
    console.print(TerminalTable(forecast_table(splits)))
    columns = (
        Column("id"),
        Column("label"),
        number_column("margin before", show=signed),
        number_column("predicted", show=signed),
        number_column("± standard error", digits=2),
    )
    sections = tuple(
        Section(title=heading, rows=tuple(_change(one) for one in result[side]))
        for side, heading in (("forget", "forgotten"), ("others", "others"))
    )
    made = Table(columns=columns, sections=sections, section_heading="points that change most")
    console.print(TerminalTable(made))
    console.print(f"Picture: {result['picture']}", soft_wrap=True)


def _weight(value: float) -> str:
    return signed(value, 3)


def _influence(one: dict[str, Any], target: dict[str, Any]) -> Row:
    is_itself = (one["id"], one["split"]) == (target["id"], target["split"])
    point = f"{one['id']} (itself)" if is_itself else str(one["id"])
    return row_of(point, one["label"], one["weight"], one["standard_error"])


def _change(one: dict[str, Any]) -> Row:
    point = str(one["id"]) if one["split"] == "training" else f"{one['id']} ({one['split']})"
    return row_of(point, one["label"], one["before"], one["after"], one["standard_error"])
