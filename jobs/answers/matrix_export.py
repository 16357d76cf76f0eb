"""`dmm export`: the datamodels of an experiment as one matrix in a file."""

from pathlib import Path
from typing import Any

from jobs.running.planning import models_to_train
from jobs.session import Session
from pipeline.core.errors import ConfigError, DataError, MissingShardsError
from pipeline.core.plugin_calls import named_failures
from pipeline.execution.selected_nodes import with_dependencies
from pipeline.graph.exports.matrix import form_of, write_matrix
from pipeline.graph.node import Work
from pipeline.graph.nodes.effect import Fitted


def export_matrix(session: Session, path: str, *, dtype: str) -> dict[str, Any]:
    """Write the datamodels of logits as one matrix to path, and return what was written, JSON-ready.

    Raises ConfigError if no datamodels of logits are made, if dtype or the suffix of path is unknown, or if
    the folder of path does not exist. Raises MissingShardsError if the datamodels are not fitted yet. Raises
    DataError if path exists or cannot be written.
    """
    if dtype not in ("float16", "float32"):
        raise ConfigError(f"--dtype {dtype!r}: expected float16 or float32")
    try:
        form_of(Path(path), dtype)
    except ConfigError as error:
        raise ConfigError(f"--to {error}") from None
    if not Path(path).parent.is_dir():
        raise ConfigError(
            f"--to {path}: folder {Path(path).parent} does not exist; make it, or choose another"
        )
    node = next((node for node in session.graph.nodes.values() if isinstance(node, Fitted)), None)
    if node is None:
        raise ConfigError(
            "this experiment has no datamodels of logits; add an unlearner that uses them, such as `dmm`"
        )
    states, inputs = session.graph.survey(session.store), {}
    parents = {name: parent for name, parent in node.parents().items() if parent.mode != "content"}
    for name, parent in parents.items():
        state = states[parent.key]
        if state.status != "done":
            left = models_to_train(
                states, with_dependencies(session.graph, {one.key for one in parents.values()})
            )
            raise MissingShardsError(
                f"{parent.key} is {state.status}; run `dmm run --until fit` first ({left}), then export again"
            )
        inputs[name] = state.table
    work = Work(
        start=0,
        stop=1,
        store=session.store,
        inputs=inputs,
        examples=session.examples,
        device="cpu",
        kind="looped",
    )
    try:
        with named_failures(node.at_work()):
            written = write_matrix(Path(path), node, work, dtype=dtype)
    except OSError as error:
        raise DataError(
            f"--to {path} cannot be written ({error.strerror or error}); choose a writable folder "
            "with enough free space"
        ) from error
    return {"path": str(written.path), "shape": list(written.shape), "dtype": written.dtype}
