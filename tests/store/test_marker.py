"""A store that cannot be written is found before anything is computed, even if it was written before."""

import errno
import os
from pathlib import Path

import pytest
import s3_server
from tiny import open_at, tables

from pipeline.core.errors import StoreAwayError, StoreError
from pipeline.execution.walk import Walk
from pipeline.store.files import PatientFiles
from pipeline.store.files.local import LocalFiles
from pipeline.store.marker import TRIED
from pipeline.store.store import Store


def compute_nothing():
    raise AssertionError("nothing may be computed")


@pytest.fixture
def begun(tmp_path):
    """The tiny experiment on a store that was written before."""
    session = open_at(tmp_path / "store")
    session.store.claim()
    return session


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")]
)
def test_a_store_that_can_no_longer_be_written_is_refused_before_a_shard_is_computed(
    begun, monkeypatch, number, words
):
    def refuse(*arguments):
        raise OSError(number, words)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(
        StoreError,
        match=(
            rf"nothing was computed, because the store cannot keep results: .*\({words}\); free space or fix "
            r"permissions"
        ),
    ):
        Walk(begun.graph, Store(begun.store.uri), open_executor=compute_nothing)
    assert tables(begun.store.uri) == set()


def test_a_bucket_that_may_only_be_read_is_refused_before_a_shard_is_computed(s3, s3_uri):
    session = open_at(s3_uri)
    session.store.claim()
    s3.fail(403, 10**9, verb="PUT")
    with pytest.raises(
        StoreError, match=r"nothing was computed, .* check the bucket, its permissions and your credentials"
    ):
        Walk(session.graph, Store(s3_uri), open_executor=compute_nothing)


def test_a_run_tries_with_one_write_and_leaves_one_file(s3, s3_uri):
    Store(s3_uri).claim()
    for _ in range(3):
        with s3.counting() as asked:
            Store(s3_uri).claim()
        assert [request.path.rpartition("/")[-1] for request in asked if request.verb == "PUT"] == [
            f"{TRIED}?"
        ]
    assert (
        len(
            [
                name
                for name in s3_server.stored()
                if name.startswith(s3_uri.removeprefix(f"s3://{s3_server.BUCKET}/"))
            ]
        )
        == 2
    )


def test_a_store_that_is_away_is_still_one_that_may_come_back(begun, monkeypatch):
    store = Store(begun.store.uri)
    store.files = PatientFiles(LocalFiles(store.uri), patience=0.0)

    def stale(*arguments):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "fsync", stale)
    with pytest.raises(StoreAwayError, match="Stale file handle"):
        store.claim()


def test_the_clock_is_that_which_files_are_dated_by(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    monkeypatch.setattr("time.time", lambda: 1e10)
    clock = store.clock()
    (tmp_path / "later").write_bytes(b"")
    assert clock <= store.files.modified("later") < clock + 60
    assert Path(store.files.location(TRIED)).exists()
