"""A folder that goes away is waited for and never taken for an empty one.

Errors that waiting does not heal are raised at once.
"""

import errno
import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from faulty import WatchedFiles, at_call

from pipeline.core.errors import StoreAwayError, StoreError
from pipeline.store.files import PatientFiles, RangeFile, each
from pipeline.store.files.local import LocalFiles
from pipeline.store.files.mounted import MARK
from pipeline.store.store import Store


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("pipeline.store.files.retrying._FIRST_PAUSE", 0.01)


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "mount" / "store"))
    store.files.write("train/a/kept", b"before")
    store.claim()
    return store


def fails(number, times):
    """Return a wrapper that makes an operating system call fail `times` times, and the list of its calls."""
    calls = []

    def instead_of(call):
        def act(*arguments, **options):
            calls.append(arguments)
            if len(calls) <= times:
                raise OSError(number, os.strerror(number))
            return call(*arguments, **options)

        return act

    return instead_of, calls


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT])
@pytest.mark.parametrize(
    ("call", "act"),
    [
        ("listdir", lambda files: files.names("train/a") == ["kept"]),
        ("open", lambda files: files.read_range("train/a/kept", 0, 3) == b"bef"),
        ("fsync", lambda files: files.write("new", b"1") is None),
        ("link", lambda files: files.create("new", b"1")),
        ("replace", lambda files: files.move("train/a/kept", "to/kept") is None),
    ],
)
def test_a_mount_that_stumbles_is_waited_for(store, monkeypatch, number, call, act):
    instead_of, calls = fails(number, 2)
    monkeypatch.setattr(os, call, instead_of(getattr(os, call)))
    assert act(store.files)
    assert len(calls) >= 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_or_a_missing_permission_is_not_waited_for(store, monkeypatch, number):
    instead_of, calls = fails(number, 10)
    monkeypatch.setattr(os, "fsync", instead_of(os.fsync))
    with pytest.raises(StoreError, match="cannot be written"):
        store.files.write("new", b"1")
    assert len(calls) == 1


def done_but_unheard(monkeypatch, call):
    """Let the next call of os do its work and then say that it failed."""
    act = getattr(os, call)

    def late(*arguments):
        monkeypatch.setattr(os, call, act)
        act(*arguments)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, late)


def test_a_created_file_whose_name_was_given_before_the_error_is_ones_own(store, monkeypatch):
    done_but_unheard(monkeypatch, "link")
    assert store.files.create("decision", b"mine")
    assert not store.files.create("decision", b"another's")


def test_a_file_that_was_moved_before_the_error_is_moved(store, monkeypatch):
    done_but_unheard(monkeypatch, "replace")
    store.files.move("train/a/kept", "to/kept")
    assert store.files.read("to/kept") == b"before"


@pytest.mark.parametrize("left", ["nothing", "an empty mount point", "another store"])
@pytest.mark.parametrize(
    "act",
    [
        lambda files: files.names("train/a") == ["kept"],
        lambda files: files.read("train/a/kept") == b"before",
        lambda files: files.write("train/a/new", b"1") is None and files.names("train/a") == ["kept", "new"],
    ],
)
def test_an_unmounted_store_is_not_an_empty_one(store, left, act):
    root = Path(store.uri)
    root.rename(root.with_name("elsewhere"))
    if left != "nothing":
        root.mkdir()
    if left == "another store":
        (root / MARK).write_text('{"store": "another"}')

    def mount():
        if left != "nothing":
            root.rename(root.with_name("covered"))
        root.with_name("elsewhere").rename(root)

    files = replace(store.files, inner=WatchedFiles(store.files.inner, at_call(3, mount)))
    assert act(files)


def test_a_worker_that_does_not_see_the_store_says_so_and_writes_nothing(store, tmp_path, monkeypatch):
    monkeypatch.setenv("DMM_STORE_PATIENCE", "0.2")
    mark = store.claim()
    assert Store(store.uri, mark=mark).files.names("train") == ["a"]
    elsewhere = Store(str(tmp_path / "not mounted"), mark=mark)
    with pytest.raises(StoreAwayError, match=r"store\.json is gone, .* a mount is missing"):
        elsewhere.shards("train/a")
    with pytest.raises(StoreAwayError):
        elsewhere.files.write("train/a/new", b"1")
    assert not (tmp_path / "not mounted").exists()


def test_a_store_is_claimed_once_and_keeps_its_mark_wherever_it_is_copied(store, tmp_path):
    mark = store.claim()
    assert mark == store.claim() == Store(store.uri).claim()
    Path(store.uri).rename(tmp_path / "moved")
    assert Store(str(tmp_path / "moved")).claim() == mark


def test_a_store_that_is_away_has_no_bad_shards(store, monkeypatch):
    name = "members-000000-000003.0123456789abcdef.parquet"
    store.files.write(f"train/a/{name}", b"")
    store.files = PatientFiles(LocalFiles(store.uri), patience=0.0)

    def stale(*arguments, **options):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(StoreAwayError, match="Stale file handle"):
        store.check("train/a")


@dataclass(frozen=True)
class Away(LocalFiles):
    """Files of several requests at once that never say a size; `asked` has the paths they were asked for."""

    at_once = 4
    root: str = "/away"
    asked: list = field(default_factory=list)

    def size(self, path):
        self.asked.append(path)
        raise StoreAwayError(f"{path} is away")


def test_an_interrupt_does_not_wait_for_threads_that_wait_for_a_store():
    files, ready = PatientFiles(Away(), patience=60.0), threading.Event()

    def act(number):
        if number:
            ready.set()
            return files.size("x")
        ready.wait()
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        each(files, act, range(4))
    for thread in set(threading.enumerate()) - before:
        thread.join(50.0)
        assert not thread.is_alive(), "it still waits for the store, for which it has 60 s"


def test_a_reader_that_asks_again_does_not_wait_again():
    away = Away()
    file = RangeFile(PatientFiles(away, patience=0.0), "x")
    for _ in range(3):
        with pytest.raises(StoreAwayError, match="x is away"):
            file.read()
    assert away.asked == ["x"]
