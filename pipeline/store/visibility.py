"""The check that this machine sees the store of a run.

It is made before a first shard is computed here, and reports a missing store at once.
"""

import functools
import platform

from pipeline.core.errors import StoreAwayError, StoreUnseenError
from pipeline.store.files import PatientFiles, local_folder, patience_seconds
from pipeline.store.files.local import LocalFiles
from pipeline.store.files.mounted import MarkedFiles

# Seconds that a mount may take to come up on first access. A folder that is not shared never comes up, and
# the driver must know soon.
FIRST_SIGHT = 20.0


@functools.lru_cache(maxsize=8)
def check_visible(uri: str, mark: str) -> None:
    """Return once the store at uri is seen to carry mark.

    A store that was seen is not checked again by this process: it is shared and can only be away. Raises
    StoreUnseenError, which names this machine, if the folder is not seen within FIRST_SIGHT.
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
