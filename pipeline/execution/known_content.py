"""A cache in the store of the content of data files, so that `dmm status` need not read them."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.core.registry import Settings
from pipeline.data.content_cache import KNOWN, Content, datasets_in
from pipeline.sources.known_digests import KNOWN_DIGESTS
from pipeline.store.store import Store

_FOLDER = "contents"


def recall_from(store: Store) -> None:
    """Let this process reuse from a store what others found in the files of data sets and sources."""

    def recall(key: str) -> Content | None:
        return store.decided(_path(key))

    def recall_digests(key: str) -> list[str] | None:
        found = store.decided(_path(key))
        return None if found is None else list(found.get("digests", ()))

    KNOWN.recall = recall
    KNOWN_DIGESTS.recall = recall_digests


def record(store: Store, settings: Settings) -> None:
    """Save in a store what this process found in the files of data sets and of sources.

    The data sets are those in settings. If the store cannot be written, nothing is saved. Only the time of
    later commands depends on it.
    """
    found: dict[str, Mapping[str, Any]] = {
        key: {"digests": digests} for key, digests in KNOWN_DIGESTS.read.items()
    }
    for dataset in datasets_in(settings):
        known = KNOWN.of(dataset)
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
