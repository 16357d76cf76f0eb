"""What is known of the content of data files, kept in the store, so that `dmm status` need not read them."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.core.registry import Settings
from pipeline.data.content_cache import KNOWN, Content, datasets_in
from pipeline.sources.known_digests import KNOWN_DIGESTS
from pipeline.store.store import Store

_FOLDER = "contents"


def recall_from(store: Store) -> None:
    """Let this process look up in a store what other processes found in the files of data sets and sources."""

    def recall(key: str) -> Content | None:
        return store.decided(_path(key))

    def recall_digests(key: str) -> list[str] | None:
        found = store.decided(_path(key))
        return None if found is None else list(found.get("digests", ()))

    KNOWN.recall = recall
    KNOWN_DIGESTS.recall = recall_digests


def record(store: Store, settings: Settings) -> None:
    """Keep in a store what this process found in the files of the data sets among settings, and in those of sources.

    A store that cannot be written is left as it is: nothing but the time of later commands depends on it.
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
