"""`dmm config`: checks a config without its data, prints it whole, or prints the schema of all configs."""

import json
from typing import Annotated

import typer

from jobs.options import Config, Set, deliver, paper
from jobs.session import read_experiment
from pipeline.config import Experiment


def config(
    config: Config = None,
    set_: Set = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the whole config, every default filled in.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a config.")] = False,
) -> None:
    """Check a config without reading its data, print it with all defaults, or print the JSON schema.

    Computes nothing.
    """
    if schema:
        raise typer.Exit(deliver(json.dumps(Experiment.model_json_schema(), indent=1)))
    experiment = read_experiment(config, set_ or (), None)
    if print_:
        raise typer.Exit(deliver(experiment.to_yaml()))
    paper().print(
        f"{config or 'the demonstration'} is a valid config (digest {experiment.digest})", soft_wrap=True
    )
