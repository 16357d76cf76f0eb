"""Files appear whole or not at all, whatever fails during the write, and never outside the store."""

import errno
import os
from pathlib import Path

import pytest
from race import create_at_once

from pipeline.core.errors import ConfigError, StoreError
from pipeline.store.files import TEMPORARY, open_files
from pipeline.store.store import Store


@pytest.fixture
def files(tmp_path):
    return open_files(str(tmp_path / "store"))


def all_names(files):
    return sorted(name for _, folders, names in os.walk(files.uri) for name in [*folders, *names])


def test_of_many_who_create_at_once_exactly_one_wins(files):
    won = create_at_once(files)
    assert [files.read("decision")] == [str(number).encode() for number in won]
    assert all_names(files) == ["decision"]


@pytest.mark.parametrize(
    ("verb", "call"), [("write", "fsync"), ("write", "replace"), ("create", "fsync"), ("create", "link")]
)
def test_a_full_disk_is_named_and_loses_nothing(files, monkeypatch, verb, call):
    files.write("kept", b"before")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StoreError, match=r"kept cannot be written \(No space left on device\); free space"):
        getattr(files, verb)("kept", b"after")
    assert files.read("kept") == b"before"
    assert all_names(files) == ["kept"]


def test_an_interrupt_leaves_no_temporary_file(files, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write("a", b"1")
    assert all_names(files) == []


def test_bytes_reach_the_disk_before_the_name_does(files, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(all_names(files)))
    files.write("a", b"1")
    assert [name.startswith(TEMPORARY) for names in seen for name in names] == [True]
    files.write("b", b"1", durable=False)
    assert len(seen) == 1


def test_a_missing_file_is_named(files):
    with pytest.raises(StoreError, match="nowhere cannot be read"):
        files.read("nowhere")
    assert files.names("nowhere") == []


def test_a_file_left_among_folders_holds_nothing(files):
    files.write("train/notes.txt", b"")
    assert files.names("train/notes.txt") == []
    with pytest.raises(StoreError, match="cannot be listed"):
        open_files(f"{files.uri}/train/notes.txt").names("")


@pytest.mark.parametrize("linked", ["from", "to"])
def test_nothing_is_moved_through_a_link_that_leaves_the_root(files, tmp_path_factory, linked):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "precious").write_bytes(b"mine")
    files.write("kept", b"ours")
    (Path(files.uri) / "link").symlink_to(outside)
    path, to = ("link/precious", "kept") if linked == "from" else ("kept", "link/precious")
    with pytest.raises(StoreError, match=r"leaves the store .* by a link"):
        files.move(path, to)
    assert ((outside / "precious").read_bytes(), files.read("kept")) == (b"mine", b"ours")


def test_a_store_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        open_files(str(tmp_path / "file")).write("a", b"")


def test_a_uri_of_a_file_and_a_home_folder_are_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_files(f"file://{tmp_path}/x").uri == open_files("~/x").uri == str((tmp_path / "x").resolve())


@pytest.mark.parametrize("uri", ["file://runs", "file:/runs", "s3:/bucket/x", "gs:/bucket"])
def test_what_is_almost_a_uri_is_no_folder(uri):
    with pytest.raises(ConfigError, match="neither a folder nor a place in an object store"):
        open_files(uri)


def test_where_there_are_no_hard_links_a_file_is_still_created_once(files, monkeypatch):
    def unknown(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unknown)
    assert (files.create("decision", b"mine"), files.create("decision", b"another's")) == (True, False)
    assert (files.read("decision"), all_names(files)) == (b"mine", ["decision"])


def test_a_disk_that_is_full_without_hard_links_leaves_no_empty_decision(files, monkeypatch):
    calls, fsync = [], os.fsync

    def unknown(*arguments):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    def full_at_second(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "link", unknown)
    monkeypatch.setattr(os, "fsync", full_at_second)
    with pytest.raises(StoreError, match="No space left on device"):
        files.create("decision", b"mine")
    assert all_names(files) == []


@pytest.mark.parametrize("name", ["loop", "a\0b", "file", "x" * 300])
def test_a_store_that_can_be_no_folder_is_a_wrong_setting(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="store"):
        Store(str(tmp_path / name))
