"""Every place for a store keeps the same contract: a folder, a folder that may vanish, an S3 server."""

import io
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from race import create_at_once

from pipeline.core.errors import StoreError
from pipeline.store.files import Files, RangeFile, open_files

KINDS = ("folder", "s3")


@pytest.fixture(params=KINDS)
def files(request, tmp_path):
    return open_files(request.getfixturevalue("s3_uri") if request.param == "s3" else str(tmp_path / "store"))


def test_what_is_written_is_read_back(files):
    files.write("a/b/c.bin", b"content")
    assert (files.read("a/b/c.bin"), files.size("a/b/c.bin"), files.read_range("a/b/c.bin", 2, 5)) == (
        b"content",
        7,
        b"nte",
    )
    assert (files.names(""), files.names("a"), files.names("a/b"), files.names("nowhere/here")) == (
        ["a"],
        ["b"],
        ["c.bin"],
        [],
    )
    assert files.location("a/b/c.bin") == f"{files.uri}/a/b/c.bin"
    assert isinstance(files, Files)


def test_writing_replaces_and_creating_does_not(files):
    files.write("a", b"1")
    files.write("a", b"2", durable=False)
    assert not files.create("a", b"3")
    assert files.create("b", b"3")
    assert (files.read("a"), files.read("b")) == (b"2", b"3")


def test_what_another_process_wrote_is_listed_at_once(files):
    files.write("a/one", b"")
    assert files.names("a") == ["one"]
    open_files(files.uri).write("a/two", b"")
    assert files.names("a") == ["one", "two"]


def test_of_many_who_create_at_once_exactly_one_wins(files):
    won = create_at_once(files)
    assert [files.read("decision")] == [str(number).encode() for number in won]


def test_a_moved_file_is_where_it_was_moved_to(files):
    files.write("a/b", b"1")
    files.move("a/b", "far/away/b")
    assert (files.names("a"), files.read("far/away/b")) == ([], b"1")
    with pytest.raises(StoreError, match="a/b cannot be"):
        files.move("a/b", "far/away/b")


def test_a_file_is_as_old_as_its_last_writing(files):
    begun = int(time.time())
    files.write("a", b"1")
    files.write("b", b"1")
    assert begun <= files.modified("a") <= files.modified("b") <= time.time() + 1


@pytest.mark.parametrize("verb", ["read", "size", "modified"])
def test_a_missing_file_is_named(files, verb):
    with pytest.raises(StoreError, match="nowhere cannot be read"):
        getattr(files, verb)("nowhere")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reads=st.lists(
        st.tuples(
            st.sampled_from([io.SEEK_SET, io.SEEK_END]), st.integers(0, 300_000), st.integers(-1, 200_000)
        ),
        max_size=4,
    )
)
def test_parts_of_a_file_are_those_of_any_file(files, reads):
    content = bytes(range(256)) * 1024
    files.write("large", content)
    stored, plain = RangeFile(files, "large"), io.BytesIO(content)
    for whence, offset, size in reads:
        offset = -min(offset, len(content)) if whence == io.SEEK_END else offset
        assert stored.seek(offset, whence) == plain.seek(offset, whence)
        assert stored.read(size) == plain.read(size)
        assert stored.tell() == plain.tell()


# What a name may never be made of: nothing, here, up, another separator, what ends a string, a new line.
BAD = st.sampled_from(["", ".", "..", "a\\b", "\\", "a\0b", "\n", "..\\..", "\x7f"])
VERBS = st.sampled_from(["read", "size", "modified", "names", "location", "write"])
GOOD = st.text("ab.-_é ", min_size=1, max_size=5).filter(lambda name: name not in {".", ".."})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(GOOD, max_size=2),
    bad=BAD,
    after=st.lists(GOOD, max_size=2),
    verb=st.sampled_from(["read", "size", "modified", "names", "location", "write"]),
)
def test_no_path_leaves_the_root(files, before, bad, after, verb):
    path = "/".join([*before, bad, *after])
    if path == "" and verb == "names":
        return
    with pytest.raises(StoreError, match="leaves the store"):
        getattr(files, verb)(path, *([b""] if verb == "write" else []))


@pytest.mark.parametrize(
    "path", ["../outside", "a/../../outside", "/etc/outside", "a//b", "a/", "./a", "s3://other/a\0"]
)
def test_nothing_is_written_or_moved_across_the_border(files, path):
    files.write("kept", b"before")
    for act in (
        lambda: files.write(path, b""),
        lambda: files.create(path, b""),
        lambda: files.move("kept", path),
        lambda: files.move(path, "kept"),
    ):
        with pytest.raises(StoreError, match="leaves the store"):
            act()
    assert (files.names(""), files.read("kept")) == (["kept"], b"before")
