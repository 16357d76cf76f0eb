"""Tables read back as they were written, or an error names the bad file; no value is ever wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.core.errors import CorruptShardError, MissingShardsError, ShapeError, StoreError
from pipeline.store.files import TEMPORARY
from pipeline.store.files.local import LocalFiles
from pipeline.store.shards import Piece, ShardName
from pipeline.store.store import Shard, Store, TableRef

FOLDER = "train/subset-0123/4567"
DTYPES = st.sampled_from([np.uint8, np.int64, np.float16, np.float32, np.float64])
MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def columns(start, stop):
    rows = np.arange(start, stop)
    return {
        "member": rows,
        "logits": rows[:, None, None] + np.arange(6.0, dtype=np.float32).reshape(2, 3),
        "mask": np.full((len(rows), 5), 7, np.uint8),
    }


def write(store, start, stop, *, folder=FOLDER, blobs=None, side=None, shift=0):
    values = columns(start, stop)
    shard = Shard(
        columns={**values, "member": values["member"] + shift}, summary={"p95": 0.5}, blobs=blobs or {}
    )
    return store.write_shard(folder, "members", start, stop, shard, side=side or {})


def path_of(store, name, folder=FOLDER):
    return Path(store.uri) / folder / str(name)


@MANY
@given(data=st.data(), n_rows=st.integers(1, 5))
def test_columns_of_any_kind_come_back_to_the_bit(tmp_path, data, n_rows):
    shapes = data.draw(st.lists(st.lists(st.integers(1, 4), max_size=3), min_size=1, max_size=3))
    given_columns = {
        f"c{number}": data.draw(arrays.arrays(data.draw(DTYPES), (n_rows, *shape)))
        for number, shape in enumerate(shapes)
    }
    store = Store(str(tmp_path))
    name = store.write_shard(FOLDER, "members", 0, n_rows, Shard(columns=given_columns), side={})
    found = store.read(store.table(FOLDER, n_rows, shards=[name]))
    for column, values in given_columns.items():
        assert (found[column].dtype, found[column].shape) == (values.dtype, values.shape)
        assert found[column].tobytes() == values.tobytes()


def test_equal_content_has_an_equal_name_whatever_the_side_file_says(store):
    one, other = write(store, 0, 3, side={"seconds": 1.0}), write(store, 0, 3, side={"seconds": 2.0})
    assert one == other
    assert store.shards(FOLDER) == [one]
    assert write(store, 0, 3, shift=1) != one


def test_a_table_is_read_across_shards_of_any_sizes(store):
    for bounds in ((0, 2), (2, 7), (7, 8)):
        write(store, *bounds)
    assert store.read(store.table(FOLDER, 8))["member"].tolist() == list(range(8))
    assert store.read(store.table(FOLDER, 5))["member"].tolist() == list(range(5))


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_a_shard_of_several_units_without_a_row_for_each_is_refused(store, n_rows):
    shard = Shard(columns={"member": np.arange(n_rows)})
    with pytest.raises(
        ShapeError, match=rf"'member' has {n_rows} rows for 2 members .4 to 6.; return one row for each"
    ):
        store.write_shard(FOLDER, "members", 4, 6, shard, side={})
    assert store.files.names(FOLDER) == []


@pytest.mark.parametrize("n_rows", [1, 3])
def test_a_listed_shard_of_several_units_without_a_row_for_each_is_corrupt(store, n_rows, monkeypatch):
    monkeypatch.setattr("pipeline.store.rows.header", lambda *_, **__: {})
    store.write_shard(FOLDER, "members", 0, 2, Shard(columns={"member": np.arange(n_rows)}), side={})
    monkeypatch.undo()
    with pytest.raises(CorruptShardError, match=rf"has {n_rows} rows for 2 units"):
        store.read(store.table(FOLDER, 2).part(1, 2))


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_a_shard_of_one_unit_may_have_any_number_of_rows(store, n_rows):
    store.write_shard(FOLDER, "sets", 0, 1, Shard(columns={"index": np.arange(n_rows)}), side={})
    assert store.read(store.table(FOLDER, 1))["index"].tolist() == list(range(n_rows))


def test_of_two_shards_that_hold_a_unit_the_lexically_first_serves_it(store):
    first, second = sorted(
        [write(store, 0, 4), write(store, 2, 6, shift=100), write(store, 0, 4, shift=200)], key=str
    )[:2]
    members = store.read(store.table(FOLDER, 6))["member"]
    expected = store.read(store.table(FOLDER, 4, shards=[first]))["member"]
    assert members[:4].tolist() == expected.tolist()
    assert second in store.shards(FOLDER)


def test_only_named_columns_are_read(store):
    write(store, 0, 3)
    table = store.table(FOLDER, 3)
    assert list(store.read(table, ["mask"])) == ["mask"]
    with pytest.raises(StoreError, match="no column wrong; it has"):
        store.read(table, ["wrong"])


def test_missing_units_are_counted_and_the_first_is_named(store):
    write(store, 0, 2)
    with pytest.raises(
        MissingShardsError, match=r"4 of 6 units are missing in .* \(first: 2\); run the stage again"
    ):
        store.table(FOLDER, 6)


def test_summary_and_side_file(store):
    name = write(store, 0, 2, side={"host": "somewhere"})
    table = store.table(FOLDER, 2)
    assert store.summary(table) == {"p95": 0.5}
    assert store.side(FOLDER, name) == {"host": "somewhere"}
    path_of(store, f"{name.stem}.json").write_text("{half")
    assert store.side(FOLDER, name) == {}


@MANY
@given(share=st.floats(0, 0.999))
def test_a_truncated_shard_is_named_and_never_read(tmp_path_factory, share):
    store = Store(str(tmp_path_factory.mktemp("cut")))
    name = write(store, 0, 3)
    content = path_of(store, name).read_bytes()
    path_of(store, name).write_bytes(content[: int(share * len(content))])
    assert [(problem.path, problem.range) for problem in store.check(FOLDER)] == [
        (f"{FOLDER}/{name}", (0, 3))
    ]
    with pytest.raises(CorruptShardError, match="dmm verify --repair"):
        store.read(store.table(FOLDER, 3))


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_flipped_bit_is_named_and_never_changes_a_value_that_is_read(tmp_path_factory, place, bit):
    store = Store(str(tmp_path_factory.mktemp("flip")))
    name = write(store, 0, 3)
    content = bytearray(path_of(store, name).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path_of(store, name).write_bytes(bytes(content))
    assert [problem.path for problem in store.check(FOLDER)] == [f"{FOLDER}/{name}"]
    try:
        found = store.read(store.table(FOLDER, 3))
    except StoreError:
        return
    for column, values in columns(0, 3).items():
        assert np.array_equal(found[column], values)


@pytest.mark.parametrize(("folder", "start", "stop"), [("train/full-9/9", 0, 3), (FOLDER, 3, 6)])
def test_a_shard_in_anothers_place_is_foreign(store, folder, start, stop):
    name = write(store, 0, 3)
    elsewhere = ShardName("members", start, stop, name.digest)
    path_of(store, elsewhere, folder).parent.mkdir(parents=True, exist_ok=True)
    os.replace(path_of(store, name), path_of(store, elsewhere, folder))
    assert "foreign" in next(
        problem.reason for problem in store.check(folder) if problem.path.endswith(str(elsewhere))
    )
    with pytest.raises(CorruptShardError, match="foreign"):
        store.read(TableRef(folder, (Piece(elsewhere, start, stop),)))


def test_half_written_and_foreign_files_are_named_and_not_shards(store):
    name = write(store, 0, 3)
    path_of(store, f"{TEMPORARY}0123").write_bytes(b"PAR1 half")
    path_of(store, "notes.txt").write_text("mine")
    assert store.shards(FOLDER) == [name]
    assert {Path(problem.path).name: problem.reason.split(":")[0] for problem in store.check(FOLDER)} == {
        f"{TEMPORARY}0123": "half-written",
        "notes.txt": "foreign",
    }


def test_what_no_shard_refers_to_is_young_if_it_was_written_since(store):
    write(store, 0, 3)
    for name in (f"{TEMPORARY}0123", "members-000003-000006.0123456789abcdef.safetensors"):
        path_of(store, name).write_bytes(b"half")
    os.utime(path_of(store, f"{TEMPORARY}0123"), (1000, 1000))
    assert [problem.is_young for problem in store.check(FOLDER, settled=2000.0)] == [False, True]
    assert [problem.is_young for problem in store.check(FOLDER)] == [False, False]


def test_what_is_finished_while_it_is_checked_is_left_to_its_writer(store, monkeypatch):
    write(store, 0, 3)
    path_of(store, f"{TEMPORARY}0123").write_bytes(b"half")
    monkeypatch.setattr(LocalFiles, "modified", lambda files, path: files.size(f"{path}-gone"))
    assert [problem.is_young for problem in store.check(FOLDER, settled=2000.0)] == [True]


def test_a_bad_shard_is_never_young(store):
    path_of(store, write(store, 0, 3)).write_bytes(b"PAR1")
    assert [
        (problem.range, problem.is_young) for problem in store.check(FOLDER, settled=0.0) if problem.range
    ] == [((0, 3), False)]


def test_a_sound_table_has_no_problems(store):
    store.describe(FOLDER, {"key": "train/subset"})
    write(store, 0, 3, blobs={"safetensors": b"weights", "html": b"page"})
    assert store.check(FOLDER) == []


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_blob_is_named_and_never_read(store, damage):
    name = write(store, 0, 3, blobs={"safetensors": b"weights"})
    path = next(path for path in path_of(store, name).parent.iterdir() if path.suffix == ".safetensors")
    path.unlink() if damage == "remove" else path.write_bytes(b"weightz")
    assert [(problem.path, problem.range) for problem in store.check(FOLDER) if problem.range] == [
        (f"{FOLDER}/{name}", (0, 3))
    ]
    with pytest.raises(StoreError):
        store.read_blob(FOLDER, name, "safetensors")


def test_blobs_come_back_and_others_are_not_there(store):
    name = write(store, 0, 3, blobs={"safetensors": b"weights"})
    assert store.read_blob(FOLDER, name, "safetensors") == b"weights"
    assert store.blob_names(FOLDER, name) == ["safetensors"]
    with pytest.raises(StoreError, match="was saved without its html"):
        store.read_blob(FOLDER, name, "html")


def test_what_is_set_aside_is_missing_but_not_lost_and_comes_back_under_its_old_name(store):
    name = write(store, 0, 3)
    damaged = path_of(store, name).read_bytes()[:-9]
    path_of(store, name).write_bytes(damaged)
    to = store.quarantine(f"{FOLDER}/{name}")
    assert store.shards(FOLDER) == []
    assert store.files.read(to) == damaged
    assert write(store, 0, 3) == name
    assert store.check(FOLDER) == []


def test_a_decision_is_made_once(store):
    assert store.decided("ensembles/a.json") is None
    assert store.decide("ensembles/a.json", {"kind": "stacked"}) == {"kind": "stacked"}
    assert (
        store.decide("ensembles/a.json", {"kind": "looped"})
        == store.decided("ensembles/a.json")
        == {"kind": "stacked"}
    )


def test_a_damaged_decision_is_named(store):
    store.files.write("ensembles/a.json", b"{half")
    with pytest.raises(StoreError, match="remove it, and the next run writes it again"):
        store.decided("ensembles/a.json")


def test_the_first_description_of_a_folder_stays(store):
    store.describe(FOLDER, {"key": "first"})
    store.describe(FOLDER, {"key": "second"})
    assert json.loads(store.files.read(f"{FOLDER}/node.json")) == {"key": "first"}


def test_a_table_names_exactly_what_is_consumed(store):
    write(store, 0, 2)
    two = store.table(FOLDER, 2)
    write(store, 2, 4)
    assert store.table(FOLDER, 2).digest == two.digest
    assert store.table(FOLDER, 3).digest != store.table(FOLDER, 4).digest != two.digest


def test_a_store_that_lets_two_create_one_file_is_refused_every_time(tmp_path, monkeypatch):
    monkeypatch.setattr(LocalFiles, "create", lambda files, path, content: files.write(path, content) is None)
    for _ in range(2):
        with pytest.raises(StoreError, match="lets two writers create the same file"):
            Store(str(tmp_path)).claim()
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"remove .*store\.json if the store supports them now"):
        Store(str(tmp_path)).claim()
