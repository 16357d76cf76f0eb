"""A unit may have several rows.

Every part of a table reads back as it was written, and the error on a contradictory header names the file.
"""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import CorruptShardError, ShapeError, StoreError
from pipeline.store.parquet import read_about
from pipeline.store.store import Shard, Store

FOLDER = "unlearn/dmm-0123/4567"
COUNTS = st.lists(st.integers(1, 4), min_size=1, max_size=5)
MANY = settings(max_examples=60, deadline=None)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def write(store, counts, start=0, *, rows_per_unit="counts"):
    """Write a shard whose units have counts of rows.

    Its values say which unit and which row of it they belong to.
    """
    unit = np.repeat(np.arange(start, start + len(counts)), counts)
    row = np.concatenate([np.arange(count) for count in counts])
    columns = {"unit": unit, "row": row, "deep": (unit * 100 + row)[:, None, None] * np.ones((2, 3))}
    shard = Shard(columns=columns, rows_per_unit=counts if rows_per_unit == "counts" else rows_per_unit)
    return store.write_shard(FOLDER, "members", start, start + len(counts), shard, side={})


def table_of(store, shards):
    """Write shards one after the other and return the table and the rows of each of its units."""
    start, counts = 0, []
    for shard in shards:
        write(store, shard, start)
        start, counts = start + len(shard), counts + shard
    return store.table(FOLDER, start), counts


@MANY
@given(shards=st.lists(COUNTS, min_size=1, max_size=3), data=st.data())
def test_any_part_of_a_table_holds_the_rows_of_its_units(tmp_path_factory, shards, data):
    store = Store(str(tmp_path_factory.mktemp("rows")))
    table, counts = table_of(store, shards)
    start = data.draw(st.integers(0, len(counts) - 1))
    stop = data.draw(st.integers(start + 1, len(counts)))
    found, part = store.read_rows(table.part(start, stop)), counts[start:stop]
    assert found.counts.tolist() == part
    assert found.columns["unit"].tolist() == np.repeat(np.arange(start, stop), part).tolist()
    assert found.columns["row"].tolist() == [row for count in part for row in range(count)]
    assert np.array_equal(found.columns["deep"][:, 1, 2], found.columns["unit"] * 100 + found.columns["row"])


@MANY
@given(shards=st.lists(COUNTS, min_size=1, max_size=3), data=st.data())
def test_who_does_not_ask_for_rows_reads_the_last_of_each_unit(tmp_path_factory, shards, data):
    store = Store(str(tmp_path_factory.mktemp("last")))
    table, counts = table_of(
        store, [[count if len(shard) > 1 else count + 1 for count in shard] for shard in shards]
    )
    start = data.draw(st.integers(0, len(counts) - 1))
    found = store.read(table.part(start, len(counts)), ["unit", "row"])
    assert found["unit"].tolist() == list(range(start, len(counts)))
    assert found["row"].tolist() == [count - 1 for count in counts[start:]]


@MANY
@given(counts=COUNTS, number=st.integers(0, 5))
def test_a_unit_with_fewer_rows_stays_at_its_last(tmp_path_factory, counts, number):
    store = Store(str(tmp_path_factory.mktemp("at")))
    write(store, counts)
    rows = store.read_rows(store.table(FOLDER, len(counts)))
    assert rows.n_most == max(counts)
    assert rows.columns["unit"][rows.at(number)].tolist() == list(range(len(counts)))
    assert rows.columns["row"][rows.at(number)].tolist() == [min(number, count - 1) for count in counts]


def test_the_header_of_a_shard_with_one_row_a_unit_says_nothing_of_rows(store):
    columns = {"member": np.arange(3)}
    names = {
        store.write_shard(FOLDER, "members", 0, 3, Shard(columns=columns, rows_per_unit=rows), side={})
        for rows in (None, [1, 1, 1])
    }
    (name,) = map(str, names)
    about = read_about(io.BytesIO((Path(store.uri) / FOLDER / name).read_bytes()), name)
    assert sorted(about) == ["blobs", "columns", "folder", "n_rows", "start", "stop", "summary", "unit"]


def test_a_shard_without_rows_in_its_header_is_read_by_the_old_rule(store):
    write(store, [1, 1, 1])
    rows = store.read_rows(store.table(FOLDER, 3).part(1, 3))
    assert (rows.counts.tolist(), rows.columns["unit"].tolist()) == ([1, 1], [1, 2])
    store.write_shard("forget/a-1/2", "sets", 0, 1, Shard(columns={"index": np.arange(7)}), side={})
    table = store.table("forget/a-1/2", 1)
    assert (
        store.read(table)["index"].tolist()
        == store.read_rows(table).columns["index"].tolist()
        == list(range(7))
    )


def test_shards_with_and_without_rows_share_a_table(store):
    table, _ = table_of(store, [[1, 1], [3, 3], [2, 4], [1]])
    assert store.read(table)["row"].tolist() == [0, 0, 2, 2, 1, 3, 0]
    assert store.check(FOLDER) == []


@pytest.mark.parametrize("counts", [[2, 2], [2, 2, 2, 2], [3, 3, 0], [2, 2, 1], [-1, 5, 2], []])
def test_counts_that_do_not_fit_are_refused_before_anything_is_written(store, counts):
    shard = Shard(columns={"unit": np.repeat(np.arange(3), 2)}, rows_per_unit=counts)
    with pytest.raises(ShapeError, match=r"rows_per_unit"):
        store.write_shard(FOLDER, "members", 0, 3, shard, side={})
    assert store.files.names(FOLDER) == []


HEADERS = [
    {"rows_per_unit": 3},
    {"rows_per_unit": 0},
    {"rows_per_unit": -2},
    {"rows_per_unit": True},
    {"rows_per_unit": 2.0},
    {"rows_per_unit": "2"},
    {"rows_per_unit": None},
    {"rows_per_unit": [2, 2, 2]},
    {"rows_per_unit": 2, "row_offsets": [0, 2, 4, 6]},
    {"row_offsets": [0, 2, 4]},
    {"row_offsets": [0, 2, 4, 6, 8]},
    {"row_offsets": [1, 2, 4, 6]},
    {"row_offsets": [0, 4, 2, 6]},
    {"row_offsets": [0, 2, 2, 6]},
    {"row_offsets": [0, 2, 4, 7]},
    {"row_offsets": [0, 2.0, 4, 6]},
    {"row_offsets": [0, "2", 4, 6]},
    {"row_offsets": [0, 2, 10**30, 6]},
    {"row_offsets": {"0": 2}},
    {"row_offsets": 2},
    {"n_rows": None},
    {"n_rows": "6"},
    {},
]


@pytest.mark.parametrize("header", HEADERS, ids=json.dumps)
def test_a_header_that_contradicts_itself_is_named_and_never_read(store, monkeypatch, header):
    about = {
        "folder": FOLDER,
        "unit": "members",
        "start": 0,
        "stop": 3,
        "summary": {},
        "blobs": {},
        "columns": {"unit": ["<i8", []]},
    }
    monkeypatch.setattr(
        "pipeline.store.parquet.canonical", lambda _: json.dumps({**about, "n_rows": 6, **header})
    )
    name = store.write_shard(
        FOLDER,
        "members",
        0,
        3,
        Shard(columns={"unit": np.repeat(np.arange(3), 2)}, rows_per_unit=[2, 2, 2]),
        side={},
    )
    table = store.table(FOLDER, 3)
    for read in (store.read, store.read_rows):
        with pytest.raises(CorruptShardError, match=f"{name}.*run `dmm verify --repair`"):
            read(table.part(1, 2))
    assert [(problem.path, problem.range) for problem in store.check(FOLDER)] == [
        (f"{FOLDER}/{name}", (0, 3))
    ]


@settings(max_examples=80, deadline=None)
@given(place=st.floats(0, 0.999), bit=st.integers(0, 7), counts=st.sampled_from([[2, 2, 2], [1, 3, 2]]))
def test_a_flipped_bit_never_moves_a_row_to_another_unit(tmp_path_factory, place, bit, counts):
    store = Store(str(tmp_path_factory.mktemp("flip")))
    path = Path(store.uri) / FOLDER / str(write(store, counts))
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))
    try:
        rows = store.read_rows(store.table(FOLDER, 3).part(1, 3), ["unit", "row"])
    except StoreError:
        return
    assert rows.columns["unit"].tolist() == [1] * counts[1] + [2] * counts[2]
    assert rows.columns["row"].tolist() == [*range(counts[1]), *range(counts[2])]


def test_a_writer_that_is_killed_leaves_no_shard_and_its_successor_makes_an_equal_one(store, monkeypatch):
    columns = {"row": np.arange(6)}
    shard = Shard(
        columns=columns,
        rows_per_unit=[3, 1, 2],
        blobs={"snapshot_0001.safetensors": b"early", "safetensors": b"late"},
    )
    write_file = type(store.files).write

    def killed(files, path, content, **options):
        if path.endswith(".parquet"):
            raise KeyboardInterrupt
        write_file(files, path, content, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(store.files), "write", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write_shard(FOLDER, "members", 0, 3, shard, side={})
    assert (store.shards(FOLDER), len(store.files.names(FOLDER))) == ([], 3)
    name = store.write_shard(FOLDER, "members", 0, 3, shard, side={})
    assert store.check(FOLDER) == []
    assert store.read_blob(FOLDER, name, "snapshot_0001.safetensors") == b"early"
    assert store.read(store.table(FOLDER, 3))["row"].tolist() == [2, 3, 5]
