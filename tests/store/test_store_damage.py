"""A damaged bit leads to our own error or to the right answer, and quarantined files stay quarantined."""

import io
import json
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import CorruptShardError, StoreError
from pipeline.core.fingerprint import digest_bytes
from pipeline.graph.nodes.train import CHECKPOINT, read_states
from pipeline.store.shards import ShardName
from pipeline.store.store import Shard, Store

FOLDER = "train/subset-0123/4567"
CONTENT = Shard(
    columns={"member": np.arange(3), "mask": np.full((3, 5), 7, np.uint8)},
    summary={"p95": 0.5},
    blobs={"bin": b"weights"},
)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def write(store):
    name = store.write_shard(FOLDER, "members", 0, 3, CONTENT, side={})
    return name, Path(store.uri) / FOLDER / str(name)


def answer_or_none(ask):
    try:
        return ask()
    except StoreError:
        return None


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "null",
        '["ab"]',
        '{"seconds": "x"}',
        '{"threads": null}',
        '{"written_at": 1e300}',
        '{"seconds": NaN}',
        '{"host": []}',
        "[" * 100_000,
    ],
)
def test_a_side_file_that_cannot_be_counted_with_says_nothing(store, text):
    name, _ = write(store)
    store.files.write(f"{FOLDER}/{name.stem}.json", text.encode())
    assert store.side(FOLDER, name) == {}


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_flipped_bit_never_changes_what_a_shard_says_of_itself(tmp_path_factory, place, bit):
    store = Store(str(tmp_path_factory.mktemp("flip")))
    name, path = write(store)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))
    assert answer_or_none(lambda: store.summary(store.table(FOLDER, 3))) in (None, {"p95": 0.5})
    assert answer_or_none(lambda: store.read_blob(FOLDER, name, "bin")) in (None, b"weights")
    assert answer_or_none(lambda: store.blob_names(FOLDER, name)) in (None, ["bin"])


def test_a_damaged_name_of_a_column_is_an_error_of_ours(store):
    name, path = write(store)
    content = path.read_bytes()
    for place in [place for place in range(len(content)) if content.startswith(b"member", place)]:
        path.write_bytes(content[:place] + b"\xed" + content[place + 1 :])
        assert answer_or_none(lambda: store.summary(store.table(FOLDER, 3))) in (None, {"p95": 0.5})
        assert answer_or_none(lambda: store.blob_names(FOLDER, name)) in (None, ["bin"])


SAID = {
    "folder": FOLDER,
    "unit": "members",
    "start": 0,
    "stop": 3,
    "summary": {},
    "blobs": {},
    "columns": {"member": ["<i8", []]},
    "n_rows": 3,
}


@pytest.mark.parametrize(
    "text",
    [
        *(json.dumps({**SAID, part: None}) for part in ("summary", "blobs", "columns")),
        "[]",
        "null",
        "3",
        "[" * 100_000,
    ],
)
def test_a_shard_that_somebody_made_up_is_named_whoever_asks(store, monkeypatch, text):
    monkeypatch.setattr("pipeline.store.parquet.canonical", lambda _: text)
    name, _ = write(store)
    whole = store.table(FOLDER, 3)
    for ask in (
        lambda: store.read(whole),
        lambda: store.summary(whole),
        lambda: store.columns(whole),
        lambda: store.read_blob(FOLDER, name, "bin"),
    ):
        assert answer_or_none(ask) is None
    assert f"{FOLDER}/{name}" in [problem.path for problem in store.check(FOLDER)]


@pytest.mark.parametrize("kind", [["O", []], ["O", [1]], ["garbage", []], [5, []], ["<i8", ["x"]], None])
def test_a_column_of_a_kind_that_somebody_made_up_is_not_read(store, monkeypatch, kind):
    monkeypatch.setattr(
        "pipeline.store.parquet.canonical", lambda _: json.dumps({**SAID, "columns": {"member": kind}})
    )
    write(store)
    assert answer_or_none(lambda: store.read(store.table(FOLDER, 3))) is None


def test_a_file_of_another_kind_under_a_fitting_digest_is_named(store):
    name = ShardName("members", 0, 3, digest_bytes(b"no table"))
    store.files.write(f"{FOLDER}/{name}", b"no table")
    assert [(problem.path, problem.range) for problem in store.check(FOLDER)] == [
        (f"{FOLDER}/{name}", (0, 3))
    ]


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 6), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_blob_is_named_and_never_read(tmp_path_factory, place, bit):
    store = Store(str(tmp_path_factory.mktemp("blob")))
    name, shard = write(store)
    [path] = shard.parent.glob("*.bin")
    content = bytearray(b"weights")
    content[place] ^= 1 << bit
    path.write_bytes(bytes(content))
    assert f"{FOLDER}/{name}" in [problem.path for problem in store.check(FOLDER)]
    assert answer_or_none(lambda: store.read_blob(FOLDER, name, "bin")) is None


def test_the_ranges_that_were_set_aside_are_known(store):
    name, _ = write(store)
    store.quarantine(f"{FOLDER}/{name}")
    assert (store.set_aside(FOLDER), store.set_aside("train/other")) == ([(0, 3)], [])


def test_a_shard_that_is_damaged_twice_is_kept_twice(store):
    kept = []
    for damage in (b"first", b"second"):
        name, path = write(store)
        path.write_bytes(damage)
        kept.append(store.quarantine(f"{FOLDER}/{name}"))
    assert [store.files.read(to) for to in kept] == [b"first", b"second"]


def test_all_who_decide_at_once_hear_the_same(store):
    barrier, heard = threading.Barrier(8), []

    def decide(number):
        barrier.wait()
        heard.append(store.decide("ensembles/a.json", {"by": number}))

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [store.decided("ensembles/a.json")] * 8


class Trap:
    """Makes a file called `sprung` when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


@pytest.mark.parametrize(
    "wrap",
    [
        pickle.dumps,
        lambda trap: _saved(np.save, np.array([trap])),
        lambda trap: _saved(np.savez, a=np.array([trap])),
    ],
)
def test_a_pickle_in_the_place_of_a_shard_is_never_opened(store, tmp_path, monkeypatch, wrap):
    monkeypatch.chdir(tmp_path)
    content = wrap(Trap())
    name = ShardName("members", 0, 3, digest_bytes(content))
    for path in (f"{FOLDER}/{name}", "ensembles/a.json", f"{FOLDER}/{name.stem}.json"):
        store.files.write(path, content)
    assert [problem.range for problem in store.check(FOLDER) if problem.range] == [(0, 3)]
    for act in (
        lambda: store.read(store.table(FOLDER, 3)),
        lambda: store.blob_names(FOLDER, name),
        lambda: store.decided("ensembles/a.json"),
    ):
        with pytest.raises(StoreError):
            act()
    assert store.side(FOLDER, name) == {}
    assert not Path("sprung").exists()


def test_a_pickle_in_the_place_of_a_checkpoint_is_never_opened(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trap = {CHECKPOINT: pickle.dumps(Trap())}
    store.write_shard(FOLDER, "members", 0, 3, Shard(columns={"member": np.arange(3)}, blobs=trap), side={})
    with pytest.raises(CorruptShardError, match="is not a safetensors checkpoint"):
        read_states(store, store.table(FOLDER, 3), 0, 1)
    assert not Path("sprung").exists()


def _saved(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"null", b"{", b"\xff"])
@pytest.mark.parametrize("is_node", [True, False])
def test_notes_that_are_damaged_are_named(store, content, is_node):
    name, _ = write(store)
    store.describe(FOLDER, {"stage": "train"})
    assert store.check(FOLDER) == []
    path = f"{FOLDER}/{'node.json' if is_node else f'{name.stem}.json'}"
    (Path(store.uri) / path).write_bytes(content)
    (problem,) = store.check(FOLDER)
    assert (problem.path, problem.reason.partition(":")[0]) == (path, "damaged")
