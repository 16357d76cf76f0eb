"""Whether this machine sees the store that a run works on, asked before a first shard is computed here and said at once if not."""

import functools
import platform

from pipeline.core.errors import StoreAwayError, StoreUnseenError
from pipeline.store.files import PatientFiles, local_folder, patience_seconds
from pipeline.store.files.local import LocalFiles
from pipeline.store.files.mounted import MarkedFiles

# Seconds that a mount may take to come up when it is first asked for. A folder that is not shared never
# comes, and the driver wants to know.
FIRST_SIGHT = 20.0


@functools.lru_cache(maxsize=8)
def check_visible(uri: str, mark: str) -> None:
    """Return once the store at uri is seen to carry mark.

    What this process saw it does not look for again, as it is shared and at most away.

    Raises StoreUnseenError, naming this machine, if it is a folder that is not seen within FIRST_SIGHT.
    """
    folder = local_folder(uri)
    if folder is None:
        return
    files = MarkedFiles(LocalFiles(str(folder)), mark)
    try:
        PatientFiles(files, min(FIRST_SIGHT, patience_seconds())).reading(files.look)
    except StoreUnseenError as error:
        raise StoreUnseenError(
            f"node {platform.node()} does not see the store at {uri} that this run works on: mount that "
            "folder on every node, or use an object store, "
            "such as s3://bucket/prefix"
        ) from error
    except StoreAwayError:
        # It is there and does not answer: whoever reads or writes waits for that, and longer.
        return
