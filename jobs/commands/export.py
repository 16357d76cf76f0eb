"""`dmm export`: the datamodels of an experiment as a matrix, or its models as a folder for other tools."""

from typing import Annotated

import typer

from jobs.options import DONE, Config, Json, Set, StoreUri, check_layout, finish, paper
from jobs.session import open_session


def export(
    path: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            help="File to write: .npy, .parquet, or .dat and the like; with --layout a folder.",
        ),
    ],
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32, for the matrix.")] = "float16",
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write the models instead, as a folder in this layout: easydub."),
    ] = None,
    json_: Json = False,
) -> None:
    """Write the fitted datamodels as a matrix: what each training point adds to each logit of each point.

    With --layout, writes the trained models as a folder that other tools read. Trains nothing.
    """
    from jobs.answers.easydub_export import export_easydub
    from jobs.answers.matrix_export import export_matrix

    if layout is not None:
        check_layout(layout)
        result = export_easydub(open_session(config, set_ or (), store), path)
        sets = ", ".join(f"{label} is forget set {number}" for label, number in result["forget_sets"].items())
        where = f"dataset {result['dataset']}, model {result['model']}, epoch {result['epoch']}"
        paper().print(f"{result['path']}: {result['n_models']:,} models of {where}; {sets}", soft_wrap=True)
        paper().print(
            f"judge the first with: {result['judged_by']}", soft_wrap=True, markup=False, highlight=False
        )
    else:
        result = export_matrix(open_session(config, set_ or (), store), path, dtype=dtype)
        paper().print(f"{result['path']}: {result['dtype']} {tuple(result['shape'])}", soft_wrap=True)
    finish(result, json_, DONE)
