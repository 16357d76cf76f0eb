"""Models that an earlier release trained for the same experiment and that this release does not reuse."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.core.registry import Plugin, Settings, identity, plugin_name
from pipeline.graph.graph import IDENTITY, Graph
from pipeline.graph.nodes.train import Population
from pipeline.store.store import NODE_FILE, Store


def older_identity_notice(graph: Graph, store: Store, used: Collection[str]) -> str | None:
    """Return a sentence on models that an earlier release trained for this experiment, None without any.

    That release computed identities, by which tables are found, in another way, so these models are not
    reused. used: the folders of the graph's own tables, which are skipped.
    """
    n_models = sum(_n_models(graph, store, folder) for folder in _folders(store) if folder not in used)
    if not n_models:
        return None
    count = f"{n_models:,} models are" if n_models > 1 else "1 model is"
    return (
        f"older identity: {count} not reused, because an earlier release drew their subsets and "
        "seeds differently. A run trains new models beside them; to continue with the old "
        "ones, use that release"
    )


def _folders(store: Store) -> list[str]:
    stage = Population.stage
    homes = [f"{stage}/{home}" for home in store.files.names(stage)]
    return [f"{home}/{version}" for home in homes for version in store.files.names(home)]


def _n_models(graph: Graph, store: Store, folder: str) -> int:
    """Return how many models of this experiment a folder holds, 0 unless an earlier release made it."""
    try:
        about = json.loads(store.files.read(f"{folder}/{NODE_FILE}"))
    # Without a readable description it is unknown whose models a folder holds.
    except (StoreError, ValueError):
        return 0
    if (
        not isinstance(about, dict)
        or about.get("identity", 1) >= IDENTITY
        or not _is_of(graph, about.get("settings"))
    ):
        return 0
    return sum(shard.stop - shard.start for shard in store.shards(folder))


def _is_of(graph: Graph, recorded: Any) -> bool:
    """Return whether recorded settings describe a population of the graph.

    Only the settings that name what is trained are compared: role, data set, model and recipe.
    """
    if not isinstance(recorded, Mapping):
        return False
    nodes = [node for node in graph.nodes.values() if isinstance(node, Population)]
    return any(node.role == recorded.get("role") and _trains_as_recorded(node, recorded) for node in nodes)


def _trains_as_recorded(node: Population, recorded: Mapping[str, Any]) -> bool:
    parts = (("dataset", node.dataset), ("model", node.model), ("recipe", node.recipe))
    return all(_equals(recorded.get(name), settings) for name, settings in parts)


def _equals(recorded: Any, settings: Settings) -> bool:
    """Return whether recorded equals settings; paths may differ.

    A newer setting that recorded lacks must have its neutral value, with which it changes no result.
    """
    if not isinstance(recorded, Mapping):
        return False
    today = settings.model_dump(mode="json") | (
        {"name": plugin_name(settings)} if isinstance(settings, Plugin) else {}
    )
    paths = {name for name in today if isinstance(getattr(settings, name, None), Path)}
    same = all(
        name in today and today[name] == value for name, value in recorded.items() if name not in paths
    )
    return same and identity(settings).keys() <= recorded.keys()
