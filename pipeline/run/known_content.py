"""What is known of the content of data files, kept in the store, so that `dmm status` need not read them."""

from pipeline.core.errors import StoreError
from pipeline.core.registry import Settings
from pipeline.data.content import KNOWN, Content, datasets_in
from pipeline.runtime.store import Store

FOLDER = "contents"


def recall_from(store: Store) -> None:
    """Let this process look up in a store what other processes found in the files of data sets."""

    def recall(key: str) -> Content | None:
        return store.decided(_path(key))

    KNOWN.recall = recall


def record(store: Store, settings: Settings) -> None:
    """Keep in a store what this process found in the files of the data sets among settings.

    A store that cannot be written is left as it is: nothing but the time of later commands depends on it.
    """
    for dataset in datasets_in(settings):
        found = KNOWN.of(dataset)
        if found is None:
            continue
        key, content = found
        try:
            if store.decided(_path(key)) is None:
                store.decide(_path(key), content)
        except StoreError:
            return


def _path(key: str) -> str:
    return f"{FOLDER}/{key}.json"
