"""Digests of the files of data sets and sources, saved in the store for other processes.

Each process keeps the digests that it knows in pipeline.data.dataset_digests and
pipeline.sources.source_digests. With the digests in the store, `dmm status` need not read the files.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.core.registry import Settings
from pipeline.data.dataset_digests import DATASET_DIGESTS, Content, datasets_in
from pipeline.sources.source_digests import SOURCE_DIGESTS
from pipeline.store.store import Store

_FOLDER = "contents"


def recall_digests(store: Store) -> None:
    """Let this process reuse the digests of files that other processes saved in a store."""

    def of_dataset(key: str) -> Content | None:
        return store.decided(_path(key))

    def of_source(key: str) -> list[str] | None:
        found = store.decided(_path(key))
        return None if found is None else list(found.get("digests", ()))

    DATASET_DIGESTS.recall = of_dataset
    SOURCE_DIGESTS.recall = of_source


def record_digests(store: Store, settings: Settings) -> None:
    """Save in a store the digests that this process knows of the files of data sets and sources.

    settings contain the data sets. If the store cannot be written, no error is raised: later commands then
    read the files again, which only takes longer.
    """
    found: dict[str, Mapping[str, Any]] = {
        key: {"digests": digests} for key, digests in SOURCE_DIGESTS.read.items()
    }
    for dataset in datasets_in(settings):
        known = DATASET_DIGESTS.of(dataset)
        if known is not None:
            found[known[0]] = known[1]
    for key, content in found.items():
        try:
            if store.decided(_path(key)) is None:
                store.decide(_path(key), content)
        except StoreError:
            return


def _path(key: str) -> str:
    return f"{_FOLDER}/{key}.json"
