"""The list of experiments that were run in a store, kept in the store itself.

Each run writes its config and the folders of its tables to `experiments/`. From these `dmm status --store
URI` counts what is done, without a config, data or plug-ins.
"""

import json
import shlex
import threading
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import override

from pipeline.core.errors import ConfigError, StoreError
from pipeline.core.settings import yaml_text
from pipeline.execution.failures import Failure, failures_of
from pipeline.execution.progress import Listener, Progress
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.node import Node
from pipeline.store.files.base import checked
from pipeline.store.shards import cover
from pipeline.store.store import Store

_FOLDER = "experiments"
# Seconds between a failed write and the next try, and the most seconds that the end of a run waits for a
# write.
RETRY, END = 30.0, 1.0


def _inside(folder: str) -> str:
    try:
        return checked(folder, _FOLDER)
    except StoreError as error:
        raise ValueError(str(error)) from error


class _Row(BaseModel):
    """A node of a recorded experiment.

    wanted is the number of its units. folder holds its table; it is None as long as the node waits for its
    parents, because the name of the folder depends on their shards.
    """

    node: str
    stage: str
    unit: str
    wanted: int = Field(ge=0)
    folder: Annotated[str, AfterValidator(_inside)] | None
    # Records of an earlier release lack group and forget_set. Their tables are listed one by one.
    group: str | None = None
    forget_set: str | None = None
    # The ending of the file that is kept beside each shard; a shard without it is not done.
    keeping: str | None = None


class Record(BaseModel):
    """An experiment as its last run recorded it."""

    name: str
    digest: str
    nodes: tuple[_Row, ...]


class Ledger(Listener):
    """Keeps the record of an experiment in the store up to date while a run goes on.

    `experiments/NAME-DIGEST.yaml` has the config without its addresses, and the `.json` file beside it lists
    the nodes and the folders of their tables. Runs of one experiment at the same time write the same content;
    runs of different experiments write different files. No result depends on the record. A thread writes it,
    so the computation never waits for it. After a failed write the next try is at least RETRY seconds later.
    """

    def __init__(self, graph: Graph, store: Store) -> None:
        self._name, self._digest, self._store = graph.experiment.name, graph.digest, store
        self._path = f"{_FOLDER}/{graph.experiment.name}-{graph.digest}"
        # Addresses are left out, because they may hold a password and a store may move.
        tree = graph.experiment.model_dump(mode="json", exclude={"store": {"uri"}, "tracking": {"uri"}})
        self._config = yaml_text.dump(tree).encode()
        self._seen: Mapping[str, NodeState] | None = None
        self._written: dict[str, bytes] = {}
        self._writer = threading.Thread()
        self._next = 0.0
        self._progress: Progress | None = None

    @override
    def changed(self, progress: Progress) -> None:
        self._progress = progress
        if progress.states is self._seen or self._writer.is_alive() or time.monotonic() < self._next:
            return
        self._seen = progress.states
        files = {
            f"{self._path}.yaml": self._config,
            f"{self._path}.json": json.dumps(self._account(progress.states), indent=1).encode(),
        }
        self._writer = threading.Thread(target=self._write, args=(files,), name="ledger", daemon=True)
        self._writer.start()

    def end(self) -> None:
        """Write the last state of the run; wait at most END seconds for each write."""
        self._wait()
        if self._progress is not None:
            self.changed(self._progress)
        self._wait()

    def _wait(self) -> None:
        if self._writer.is_alive():
            self._writer.join(END)

    def _account(self, states: Mapping[str, NodeState]) -> dict[str, Any]:
        nodes = [
            {
                **labels_of(state.node),
                "stage": state.node.stage,
                "unit": state.node.unit,
                "wanted": state.node.n_units,
                "folder": state.folder,
                "keeping": state.node.keeping,
            }
            for state in states.values()
        ]
        return {"name": self._name, "digest": self._digest, "nodes": nodes}

    def _write(self, files: Mapping[str, bytes]) -> None:
        try:
            for path, content in files.items():
                if self._written.get(path) != content:
                    self._store.files.write(path, content)
                    self._written[path] = content
        except StoreError:
            self._seen, self._next = None, time.monotonic() + RETRY


def recorded(store: Store) -> dict[str, Any]:
    """Return the state of every experiment that was run in store, from the store alone.

    Tables that became stale since their last run are not detected. Records that cannot be read are listed as
    damaged, and the others are still returned. Raises ConfigError if there are no records at all.
    """
    experiments, damaged = [], []
    for name in store.files.names(_FOLDER):
        if name.endswith(".json"):
            try:
                experiments.append(
                    _told(store, Record.model_validate_json(store.files.read(f"{_FOLDER}/{name}")))
                )
            except ValueError:
                damaged.append(f"{_FOLDER}/{name}")
    if not (experiments or damaged):
        raise ConfigError(
            f"no experiment was run in {store.uri}; check the address, or name a config: `dmm status CONFIG "
            f"--store {shlex.quote(store.uri)}`"
        )
    return {
        "store": store.uri,
        "complete": not damaged and all(one["complete"] for one in experiments),
        "experiments": experiments,
        "damaged": damaged,
    }


def run_in(store: Store) -> list[str]:
    """Return NAME-DIGEST of each experiment that was run in store, without counting what is done."""
    return [name.removesuffix(".json") for name in store.files.names(_FOLDER) if name.endswith(".json")]


def labels_of(node: Node) -> dict[str, str | None]:
    """Return the key, the group and the forget set of a node, as every listing has them.

    Nodes of one group differ only in their forget set, and a listing may show them in one row.
    """
    return {"node": node.key, "group": node.group, "forget_set": node.forget_set}


def _told(store: Store, record: Record) -> dict[str, Any]:
    """Return an experiment as its last run recorded it, with the number of units that are done now.

    failed_shards lists the shards that were given up and are still missing.
    """
    nodes, failed = [], []
    for node in record.nodes:
        shards = [] if node.folder is None else store.shards(node.folder, keeping=node.keeping)
        done = sum(piece.stop - piece.start for piece in cover(shards, node.wanted))
        status = (
            "waiting"
            if node.folder is None
            else "done"
            if done == node.wanted
            else "partial"
            if done
            else "missing"
        )
        nodes.append(
            node.model_dump(exclude={"keeping"})
            | {"group": node.group or node.node, "status": status, "done": done}
        )
        if node.folder is not None and status != "done":
            failed += [
                failed_shard(failure) for failure in failures_of(store, node.node, node.folder, shards)
            ]
    complete = all(node["status"] == "done" for node in nodes)
    return {
        "name": record.name,
        "digest": record.digest,
        "nodes": nodes,
        "failed_shards": failed,
        "complete": complete,
    }


def failed_shard(failure: Failure) -> dict[str, Any]:
    """Return what `dmm status` shows of a shard that was given up, JSON-ready."""
    return {name: getattr(failure, name) for name in ("start", "stop", "error", "tries", "host")} | {
        "node": failure.key
    }
