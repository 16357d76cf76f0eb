"""`dmm export`: the datamodels of an experiment as one matrix in a file."""

from pathlib import Path
from typing import Any

from jobs.commands.planning import models_to_train
from jobs.session import Session
from pipeline.core.errors import ConfigError, MissingShardsError
from pipeline.run import with_what_they_rest_on
from pipeline.stages.effect import Fitted
from pipeline.stages.export import write_matrix
from pipeline.stages.node import Work


def export(session: Session, path: str, *, dtype: str) -> dict[str, Any]:
    """Write the matrix and return what was written, JSON-ready.

    Raises ConfigError where no datamodels of logits are made or dtype is unknown, MissingShardsError where they are not fitted yet, DataError if
    path exists.
    """
    if dtype not in ("float16", "float32"):
        raise ConfigError(f"--dtype {dtype!r}: expected float16 or float32")
    node = next((node for node in session.graph.nodes.values() if isinstance(node, Fitted)), None)
    if node is None:
        raise ConfigError("this experiment makes no datamodels of logits; give it an unlearner that uses them, such as `dmm`")
    states, inputs = session.graph.survey(session.store), {}
    parents = {name: parent for name, parent in node.parents().items() if parent.mode != "content"}
    for name, parent in parents.items():
        state = states[parent.key]
        if state.status != "done":
            left = models_to_train(states, with_what_they_rest_on(session.graph, {one.key for one in parents.values()}))
            raise MissingShardsError(f"{parent.key} is {state.status}; `dmm run --until fit` makes it, {left}, then export again")
        inputs[name] = state.table
    work = Work(start=0, stop=1, store=session.store, inputs=inputs, examples=session.examples, device="cpu", kind="looped")
    written = write_matrix(Path(path), node, work, dtype=dtype)
    return {"path": str(written.path), "shape": list(written.shape), "dtype": written.dtype}
