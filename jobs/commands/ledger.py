"""What a store says of its own experiments: its runs leave their config and where their tables are, to be counted without data or plug-ins."""

import json
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


class Ledger(Listener):
    """Keeps `experiments/NAME-DIGEST.yaml` (the config, but for where it ran) and `.json` (the tables) up to date while a run goes on.

    Runs of one experiment at the same time write the same; of different ones, different files. No result depends on it, so a store that
    refuses is asked again at the next change.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self._experiment, self._store = experiment, store
        self._path = f"{FOLDER}/{experiment.name}-{experiment.digest}"
        self._seen: Mapping[str, NodeState] | None = None
        self._written: dict[str, bytes] = {}

    def changed(self, progress: Progress) -> None:
        """See Listener."""
        if progress.states is self._seen:
            return
        try:
            # Addresses are left out: they may hold a password, and a store may move.
            tree = self._experiment.model_dump(mode="json", exclude={"store": {"uri"}, "tracking": {"uri"}})
            self._write(f"{self._path}.yaml", yaml.safe_dump(tree, sort_keys=False, width=120).encode())
            self._write(f"{self._path}.json", json.dumps(self._account(progress.states), indent=1).encode())
        except StoreError:
            return
        self._seen = progress.states

    def _account(self, states: Mapping[str, NodeState]) -> dict[str, Any]:
        nodes = [
            {"node": key, "stage": state.node.stage, "unit": state.node.unit, "wanted": state.node.n_units, "folder": state.folder}
            for key, state in states.items()
        ]
        return {"name": self._experiment.name, "digest": self._experiment.digest, "nodes": nodes}

    def _write(self, path: str, content: bytes) -> None:
        if self._written.get(path) != content:
            self._store.files.write(path, content)
            self._written[path] = content


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
