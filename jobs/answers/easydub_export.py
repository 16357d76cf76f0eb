"""`dmm export --layout easydub`: the models of an experiment as a folder that other tools read."""

import re
import shlex
from pathlib import Path
from typing import Any

from jobs.running.planning import models_to_train
from jobs.session import Session
from pipeline.core.errors import ConfigError, DataError, MissingShardsError
from pipeline.core.registry import plugin_name
from pipeline.core.settings.paths import expanded
from pipeline.execution.selected_nodes import with_dependencies
from pipeline.graph.exports.easydub import EasyDubWriter, Exported
from pipeline.graph.graph import NodeState
from pipeline.sources.easydub_layout import EasyDubLayout

# The populations of oracles of a forget set. In the folder, the models of the second are numbered after those
# of the first.
_ORACLES = ("oracle", "floor")


def export_easydub(session: Session, path: str) -> dict[str, Any]:
    """Write the models of an experiment to the folder path, and return what was written, JSON-ready.

    Forget sets are numbered from 1 in the order of the config. Raises MissingShardsError if models are not
    trained yet, and ConfigError or DataError if the folder cannot be written.
    """
    root = expanded(Path(path)).absolute()
    if not root.parent.is_dir():
        raise ConfigError(f"--to {path}: folder {root.parent} does not exist; make it, or choose another")
    experiment, examples = session.experiment, session.examples
    numbers = {label: number for number, label in enumerate(experiment.forget_sets, start=1)}
    states = _done(
        session,
        [
            "train/full",
            *(
                f"{kind}/{label}"
                for label in numbers
                for kind in ("forget", *(f"train/{role}" for role in _ORACLES))
            ),
        ],
    )
    names = {
        "dataset": _file_name(plugin_name(experiment.dataset)),
        "model": _file_name(plugin_name(experiment.model)),
    }
    place = EasyDubLayout(root=root, epoch=experiment.recipe.epochs - 1, **names)
    exported = Exported(
        full=states["train/full"].table,
        forget_ids={
            number: session.store.read(states[f"forget/{label}"].table)["index"]
            for label, number in numbers.items()
        },
        oracles={
            number: [states[f"train/{role}/{label}"].table for role in _ORACLES]
            for label, number in numbers.items()
        },
    )
    writer = EasyDubWriter(
        store=session.store, layout=experiment.store.layout, labels=examples.labels, n_train=examples.n_train
    )
    try:
        written = writer.write(place, exported)
    except OSError as error:
        raise DataError(
            f"--to {path} cannot be written ({error.strerror or error}); choose a writable folder "
            "with enough free space"
        ) from error
    named = {"path": str(root), "layout": "easydub", **names, "epoch": place.epoch, "forget_sets": numbers}
    return {**named, **written, "judged_by": _judging(place)}


def _judging(place: EasyDubLayout) -> str:
    """Return the command that judges the first forget set of a folder, quoted for a shell."""
    folder = ["--layout", "easydub", "--root", str(place.root), "--forget-set", "1"]
    names = ["--dataset", place.dataset, "--model", place.model, "--epoch", str(place.epoch)]
    return shlex.join(["dmm", "klom", *folder, *names])


def _done(session: Session, keys: list[str]) -> dict[str, NodeState]:
    states = session.graph.survey(session.store)
    for key in keys:
        if states[key].status != "done":
            left = models_to_train(states, with_dependencies(session.graph, keys))
            raise MissingShardsError(
                f"{key} is {states[key].status}; run `dmm run --until train` first ({left}), then "
                "export again"
            )
    return states


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
