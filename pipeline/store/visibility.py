"""The check that this machine sees the store of a run.

It runs before the first shard is computed on this machine, and reports within seconds a folder that is not
shared.
"""

import functools
import platform

from pipeline.core.errors import StoreAwayError, StoreUnseenError
from pipeline.store.files import PatientFiles, local_folder, patience_seconds
from pipeline.store.files.local import LocalFiles
from pipeline.store.files.mounted import MarkedFiles

# Seconds that a mount may take to come up on first access. A folder that is not shared never comes up, and
# the driver must learn this soon.
FIRST_SIGHT = 20.0


@functools.lru_cache(maxsize=8)
def check_visible(uri: str, mark: str) -> None:
    """Return when this machine sees the store at uri with the mark that Store.claim returned.

    This process does not check the store again: a store that was seen is shared and can only be away. Object
    stores are not checked at all. Raises StoreUnseenError, which names this machine, if the mark is not found
    within FIRST_SIGHT seconds.
    """
    folder = local_folder(uri)
    if folder is None:
        return
    files = MarkedFiles(LocalFiles(str(folder)), mark)
    try:
        PatientFiles(files, min(FIRST_SIGHT, patience_seconds())).reading(files.look)
    except StoreUnseenError as error:
        raise StoreUnseenError(
            f"node {platform.node()} does not see the store at {uri} that this run uses; mount that "
            "folder on every node, or use an object store, such as s3://bucket/prefix"
        ) from error
    except StoreAwayError:
        # The store is there but does not answer; the next read or write waits for it, and longer.
        return
