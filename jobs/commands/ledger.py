"""What a store says of its own experiments: its runs leave their config and where their tables are, to be counted without data or plug-ins."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipeline.config import Experiment
from pipeline.core.errors import StoreError
from pipeline.graph import NodeState
from pipeline.run import Listener, Progress
from pipeline.runtime.shards import cover
from pipeline.runtime.store import Store

FOLDER = "experiments"
# Seconds until a store that refused is asked again, and for which the end of a run waits for what is being written.
RETRY, END = 30.0, 1.0


class Ledger(Listener):
    """Keeps `experiments/NAME-DIGEST.yaml` (the config, but for where it ran) and `.json` (the tables) up to date while a run goes on.

    Runs of one experiment at the same time write the same; of different ones, different files. No result depends on it, so it is
    written beside the walk, which never waits for it; a store that refuses is asked again after a while.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self._experiment, self._store = experiment, store
        self._path = f"{FOLDER}/{experiment.name}-{experiment.digest}"
        self._seen: Mapping[str, NodeState] | None = None
        self._written: dict[str, bytes] = {}
        self._writer = threading.Thread()
        self._next = 0.0

    def changed(self, progress: Progress) -> None:
        """See Listener."""
        if progress.states is self._seen or self._writer.is_alive() or time.monotonic() < self._next:
            return
        self._seen = progress.states
        # Addresses are left out: they may hold a password, and a store may move.
        tree = self._experiment.model_dump(mode="json", exclude={"store": {"uri"}, "tracking": {"uri"}})
        files = {
            f"{self._path}.yaml": yaml.safe_dump(tree, sort_keys=False, width=120).encode(),
            f"{self._path}.json": json.dumps(self._account(progress.states), indent=1).encode(),
        }
        self._writer = threading.Thread(target=self._write, args=(files,), name="ledger", daemon=True)
        self._writer.start()

    def end(self, progress: Progress) -> None:
        """Have the last state written, unless the store takes too long over it."""
        self._wait()
        self.changed(progress)
        self._wait()

    def _wait(self) -> None:
        if self._writer.is_alive():
            self._writer.join(END)

    def _account(self, states: Mapping[str, NodeState]) -> dict[str, Any]:
        nodes = [
            {"node": key, "stage": state.node.stage, "unit": state.node.unit, "wanted": state.node.n_units, "folder": state.folder}
            for key, state in states.items()
        ]
        return {"name": self._experiment.name, "digest": self._experiment.digest, "nodes": nodes}

    def _write(self, files: Mapping[str, bytes]) -> None:
        try:
            for path, content in files.items():
                if self._written.get(path) != content:
                    self._store.files.write(path, content)
                    self._written[path] = content
        except StoreError:
            self._seen, self._next = None, time.monotonic() + RETRY


def recorded(store: Store) -> dict[str, Any]:
    """Return the state of every experiment that was run in store, as far as the store alone tells: what turned stale since, it does not know."""
    experiments = []
    for experiment in _experiments_in(store):
        nodes = [node | {"forget_set": label_in(node["node"])} for node in experiment["nodes"]]
        experiments.append(experiment | {"nodes": nodes, "complete": all(node["status"] == "done" for node in nodes)})
    return {"store": store.uri, "complete": all(one["complete"] for one in experiments), "experiments": experiments}


def label_in(key: str) -> str | None:
    """Return the label of the forget set that a node is for, None if it is for all."""
    parts = key.split("/")
    return parts[-1] if len(parts) == 3 or parts[0] in ("forget", "effect") else None


def _experiments_in(store: Store) -> Iterator[dict[str, Any]]:
    """Yield each experiment of the store as its last run saw it, {"name", "digest", "nodes"}, with the shards there are now counted."""
    for name in store.files.names(FOLDER):
        if not name.endswith(".json"):
            continue
        try:
            account = json.loads(store.files.read(f"{FOLDER}/{name}"))
        except ValueError as error:
            raise StoreError(f"{FOLDER}/{name} in {store.uri} is damaged ({error}); remove it, and the next run writes it again") from error
        yield account | {"nodes": [node | _counted(store, node) for node in account["nodes"]]}


def _counted(store: Store, node: Mapping[str, Any]) -> dict[str, Any]:
    if node["folder"] is None:
        return {"status": "waiting", "done": 0}
    done = sum(piece.stop - piece.start for piece in cover(store.shards(node["folder"]), node["wanted"]))
    return {"status": "done" if done == node["wanted"] else "partial" if done else "missing", "done": done}
