"""Storage that refuses a write gives an error with a remedy, keeps its files and no half-written ones."""

import contextlib
import errno
import os
import resource
from pathlib import Path

import pytest

from pipeline.core.errors import StoreError
from pipeline.store.files import open_files


@pytest.fixture
def files(tmp_path):
    files = open_files(str(tmp_path / "store"))
    files.write("kept", b"before")
    return files


@contextlib.contextmanager
def at_most(n_bytes):
    """Let the operating system itself cut every write off after n_bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("verb", "path"), [("write", "kept"), ("create", "new")])
def test_a_write_that_stops_half_way_leaves_no_trace(files, verb, path):
    with (
        at_most(1000),
        pytest.raises(
            StoreError, match=rf"{path} cannot be written \(File too large\); free space or fix permissions"
        ),
    ):
        getattr(files, verb)(path, bytes(100_000))
    assert (files.names(""), files.read("kept")) == (["kept"], b"before")


@pytest.mark.parametrize("verb", ["write", "create"])
def test_a_folder_that_may_not_be_made_is_named_with_the_remedy(files, monkeypatch, verb):
    def deny(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", deny)
    with pytest.raises(
        StoreError, match=r"a/new cannot be written \(Permission denied\); free space or fix permissions"
    ):
        getattr(files, verb)("a/new", b"")
    assert files.names("") == ["kept"]


@pytest.mark.parametrize(("verb", "call"), [("write", "replace"), ("create", "link")])
def test_a_name_that_cannot_be_given_leaves_what_was_there(files, monkeypatch, verb, call):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StoreError, match="No space left on device"):
        getattr(files, verb)("kept", b"after")
    assert (files.names(""), files.read("kept")) == (["kept"], b"before")


@pytest.mark.parametrize("verb", ["names", "read", "size", "location"])
def test_nothing_outside_the_store_is_looked_at(files, verb):
    with pytest.raises(StoreError, match="leaves the store"):
        getattr(files, verb)("../outside")


@pytest.mark.parametrize(("path", "to"), [("kept", "../outside"), ("../outside", "kept")])
def test_nothing_is_moved_across_the_border(files, path, to):
    with pytest.raises(StoreError, match="leaves the store"):
        files.move(path, to)
    assert files.read("kept") == b"before"


def test_moving_what_another_process_moved_is_named(files):
    with pytest.raises(StoreError, match="gone"):
        files.move("gone", "quarantine/gone")


def test_names_come_sorted(files):
    names = [f"{number * 7919 % 1000:03d}" for number in range(50)]
    for name in names:
        files.write(f"many/{name}", b"")
    assert files.names("many") == sorted(names)
