"""The mark: a small file in the root of a store, which distinguishes the store from other stores.

A run makes the mark before it computes. If this fails, the store cannot keep results.
"""

import json
import os
import platform
import uuid

from pipeline.core.errors import StoreError
from pipeline.store.files import Files
from pipeline.store.files.mounted import MARK

# After a mark was created, `claimed` tries to create it again with this content. A store that does not refuse
# this cannot be used.
SECOND = b"{}"
# The file of the last write test. It has one name, so that runs leave one file and not one each.
TRIED = "tried.json"


def claimed(files: Files) -> str:
    """Return the mark in the root of files; make it if there is none.

    If there is one, a test file is written. For the errors raised see Store.claim.
    """
    refusal = (
        f"{files.uri} lets two writers create the same file; use a store with conditional "
        "writes (If-None-Match)"
    )
    if MARK in files.names(""):
        try:
            try_writing(files)
        except StoreError as error:
            raise type(error)(
                f"nothing was computed, because the store cannot keep results: {error}"
            ) from error
    else:
        made = files.create(MARK, json.dumps({"store": uuid.uuid4().hex}).encode())
        if made and files.create(MARK, SECOND):
            raise StoreError(refusal)
    content = files.read(MARK)
    # The store did not refuse a second writer, in this run or an earlier one.
    if content == SECOND:
        raise StoreError(f"{refusal}, or remove {files.location(MARK)} if the store supports them now")
    return content.decode(errors="replace")


def try_writing(files: Files) -> None:
    """Write a small file to the root.

    Raises StoreError if nothing can be written: a read-only bucket, expired credentials, a full disk.
    """
    files.write(TRIED, json.dumps({"host": platform.node(), "process": os.getpid()}).encode())
