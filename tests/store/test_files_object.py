"""An S3 store costs only the necessary requests and bytes, and publishes only whole objects.

It survives failures of server and network.
"""

import functools
from dataclasses import replace

import fsspec
import numpy as np
import pytest
import s3_server

from pipeline.core.errors import ConfigError, StoreAwayError, StoreError
from pipeline.store.files import PatientFiles, open_files
from pipeline.store.files.objects import ObjectFiles
from pipeline.store.store import Shard, Store

FOLDER = "train/subset-0123/4567"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("pipeline.store.files.retrying._FIRST_PAUSE", 0.01)


@pytest.fixture
def files(s3_uri):
    return open_files(s3_uri)


def test_listing_many_shards_costs_a_request_a_page(s3, s3_uri):
    prefix = s3_uri.removeprefix(f"s3://{s3_server.BUCKET}/")
    for number in range(5000):
        s3_server.put(f"{prefix}/{FOLDER}/members-{number:06d}-{number + 1:06d}.{number:016x}.parquet", b"")
    with s3.counting() as asked:
        assert len(Store(s3_uri).shards(FOLDER)) == 5000
    assert [request.verb for request in asked] == ["GET"] * 5


def test_one_column_costs_its_own_bytes_and_the_footer(s3, s3_uri):
    store, block = Store(s3_uri), np.random.default_rng(0).normal(size=(50, 500, 10)).astype(np.float16)
    columns = {"member": np.arange(50), **{f"logits-{number}": block for number in range(20)}}
    store.write_shard(FOLDER, "members", 0, 50, Shard(columns=columns), side={})
    with s3.counting() as asked:
        found = store.read(store.table(FOLDER, 50), ["logits-7"])["logits-7"]
    assert np.array_equal(found, block)
    assert [request.verb for request in asked] == ["GET", "HEAD", "GET", "GET"]
    assert sum(request.sent for request in asked) < block.nbytes + 70_000


def test_a_small_shard_is_fetched_once(s3, s3_uri):
    store = Store(s3_uri)
    name = store.write_shard(FOLDER, "members", 0, 3, Shard(columns={"member": np.arange(3)}), side={})
    table = store.table(FOLDER, 3, shards=[name])
    with s3.counting() as asked:
        assert store.read(table)["member"].tolist() == [0, 1, 2]
    assert [request.verb for request in asked] == ["HEAD", "GET"]


@pytest.mark.parametrize("kind", [503, 500, 429, "cut", "unheard"])
def test_what_passes_is_waited_for(s3, files, kind):
    files.write("kept", b"before")
    for verb, path, act, expected in [
        ("GET", "list-type", lambda: files.names(""), ["kept"]),
        ("GET", "kept", lambda: files.read("kept"), b"before"),
        ("PUT", "new", lambda: files.create("new", b"1"), True),
        ("PUT", "kept", lambda: files.write("kept", b"after"), None),
        ("DELETE", "kept", lambda: files.move("kept", "to/kept"), None),
    ]:
        fault = s3.fail(kind, 2, verb=verb, path=path)
        assert act() == expected
        assert fault.times == 0
    assert (files.names(""), files.read("to/kept"), files.read("new")) == (["new", "to"], b"after", b"1")


@pytest.mark.parametrize("kind", [500, "unheard"])
def test_a_created_file_whose_answer_was_lost_is_known_as_ones_own(s3, files, kind):
    s3.fail(kind, 1, verb="PUT")
    assert files.create("decision", b"mine")
    s3.fail(kind, 1, verb="PUT")
    assert not files.create("decision", b"another's")
    assert files.read("decision") == b"mine"


def test_a_server_that_is_gone_for_a_while_is_waited_for(s3, files):
    gone = s3.fail("cut", 12)
    files.write("a", b"1")
    assert gone.times == 0
    assert files.read("a") == b"1"


def test_patience_ends_with_the_cause_and_the_remedy(s3, s3_uri):
    s3.fail(503, 10**9)
    with pytest.raises(
        StoreAwayError,
        match=r"Service Unavailable\); the store did not answer for \d+ s. Check the store at s3://",
    ):
        PatientFiles(ObjectFiles.at(s3_uri), patience=1.0).read("a")


def test_a_server_that_refuses_connections_is_away(s3_uri):
    files = ObjectFiles.at(s3_uri)
    nobody = fsspec.filesystem("s3", endpoint_url="http://127.0.0.1:9", **files.scheme.options)
    nobody.retries = 1
    with pytest.raises(StoreAwayError, match="Could not connect"):
        replace(files, fs=nobody).names("")


@pytest.mark.parametrize("verb", ["names", "read", "write"])
def test_what_does_not_pass_is_said_at_once(s3, files, verb):
    fault = s3.fail(403, 10)
    with pytest.raises(
        StoreError,
        match=r"cannot be .* check the bucket, its permissions and your credentials \(AWS_ACCESS_KEY_ID",
    ):
        getattr(files, verb)("a", *([b""] if verb == "write" else []))
    assert fault.times == 9


def test_a_bucket_that_does_not_exist_is_not_an_empty_store(s3):
    with pytest.raises(StoreError, match=r"cannot be listed \(The specified bucket does not exist\)"):
        open_files("s3://nowhere/runs").names("train")


@pytest.mark.parametrize("path", ["partNumber=2", "uploadId=[^&]*$"])
def test_an_upload_that_fails_half_way_publishes_nothing_and_leaves_no_parts(s3, s3_uri, monkeypatch, path):
    files = ObjectFiles.at(s3_uri)
    monkeypatch.setattr(files.fs, "pipe_file", functools.partial(files.fs.pipe_file, chunksize=5 << 20))
    fault = s3.fail(500, 1, verb="P", path=path)
    with pytest.raises(StoreAwayError):
        files.write("large", bytes(11 << 20))
    assert fault.times == 0
    assert files.names("") == []
    assert not files.fs.list_multipart_uploads(s3_server.BUCKET)
    files.write("large", bytes(11 << 20))
    assert files.size("large") == 11 << 20


def test_a_store_that_lets_two_create_one_file_is_refused_before_anything_is_computed(
    s3, s3_uri, monkeypatch
):
    monkeypatch.setattr(s3, "conditional", False)
    with pytest.raises(StoreError, match="lets two writers create the same file"):
        Store(s3_uri).claim()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://key:secret@bucket/runs", r"s3://\*\*\*@bucket' holds credentials .* AWS_ACCESS_KEY_ID"),
        ("s3://key@bucket/runs", "holds credentials"),
        ("s3://bucket/runs?X-Amz-Signature=secret", "holds credentials or a query"),
        ("s3://", "names no bucket"),
        ("s3://bucket/../other", "leaves the store"),
        ("simplecache::s3://bucket", "unknown scheme 'simplecache::s3'"),
        ("http://host/runs", "unknown scheme 'http'; known: a folder, abfs"),
    ],
)
def test_a_uri_that_cannot_hold_a_store_is_refused_and_no_secret_is_repeated(uri, words):
    with pytest.raises(ConfigError, match=words) as refused:
        open_files(uri)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "extra"), [("gs://bucket/runs", "gcs"), ("abfs://box@account/runs", "azure")]
)
def test_a_scheme_whose_package_is_missing_names_the_extra(uri, extra, monkeypatch):
    def missing(*arguments, **options):
        raise ImportError

    monkeypatch.setattr("fsspec.filesystem", missing)
    with pytest.raises(ConfigError, match=rf"pip install 'datamodel-matching\[{extra}\]'"):
        open_files(uri)


def test_patience_is_a_number_of_seconds(monkeypatch, tmp_path):
    monkeypatch.setenv("DMM_STORE_PATIENCE", "2.5")
    assert open_files(str(tmp_path)).patience == 2.5
    monkeypatch.setenv("DMM_STORE_PATIENCE", "long")
    with pytest.raises(ConfigError, match="'long'; expected seconds"):
        open_files(str(tmp_path))
