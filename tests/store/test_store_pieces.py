"""Overlapping shards, single columns and unusual columns give the same values as a row-by-row reader."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.core.errors import CorruptShardError, StoreError
from pipeline.store.store import Shard, Store

FOLDER = "train/subset-0123/4567"
NUMBERS = st.sampled_from(["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
RANGES = st.tuples(st.integers(0, 8), st.integers(1, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def write(store, start, stop, columns, **content):
    return store.write_shard(FOLDER, "members", start, stop, Shard(columns=columns, **content), side={})


@settings(max_examples=30, deadline=None)
@given(ranges=st.lists(RANGES, max_size=5))
def test_every_row_comes_from_the_lexically_first_shard_that_holds_it(tmp_path_factory, ranges):
    store, made = Store(str(tmp_path_factory.mktemp("overlap"))), {}
    for tag, (start, stop) in enumerate([(0, 9), *ranges]):
        rows = np.arange(start, stop) + 100 * tag
        made[str(write(store, start, stop, {"flat": rows, "deep": rows[:, None] * np.ones(2)}))] = (
            start,
            rows,
        )
    first = [
        min(name for name, (start, rows) in made.items() if start <= unit < start + len(rows))
        for unit in range(9)
    ]
    expected = [made[name][1][unit - made[name][0]] for unit, name in enumerate(first)]
    found = store.read(store.table(FOLDER, 9))
    assert found["flat"].tolist() == found["deep"][:, 1].tolist() == expected


@settings(max_examples=40, deadline=None)
@given(data=st.data(), dtype=NUMBERS, n_rows=st.integers(0, 3), cells=st.lists(st.integers(1, 3), max_size=2))
def test_numbers_of_every_type_come_back_even_if_there_are_no_rows(
    tmp_path_factory, data, dtype, n_rows, cells
):
    store = Store(str(tmp_path_factory.mktemp("types")))
    values = data.draw(arrays.arrays(dtype, (n_rows, *cells)))
    write(store, 0, 1, {"c": values})
    found = store.read(store.table(FOLDER, 1))["c"]
    assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, values.shape, values.tobytes())


@pytest.mark.parametrize("values", [np.array(["a", "b"]), np.zeros((2, 0))], ids=["text", "no cells"])
def test_a_column_that_could_not_come_back_is_refused_when_it_is_written(store, values):
    with pytest.raises(StoreError, match="odd"):
        write(store, 0, 2, {"odd": values})


def test_the_layout_in_memory_is_not_part_of_the_identity(store):
    values = np.arange(12.0).reshape(3, 4)
    assert write(store, 0, 3, {"c": values}) == write(store, 0, 3, {"c": np.asfortranarray(values)})


def test_damage_in_one_column_does_not_keep_another_from_being_read(store):
    name = write(store, 0, 2, {"bad": np.full((2, 4), 0xABCD, np.uint16), "good": np.arange(2)})
    path = Path(store.uri) / FOLDER / str(name)
    path.write_bytes(path.read_bytes().replace(b"\xcd\xab" * 8, b"\xcd\xab" * 7 + b"\xcd\xaa"))
    assert store.read(store.table(FOLDER, 2), ["good"])["good"].tolist() == [0, 1]
    with pytest.raises(CorruptShardError, match=str(name)):
        store.read(store.table(FOLDER, 2), ["bad"])
    assert [problem.path for problem in store.check(FOLDER)] == [f"{FOLDER}/{name}"]


def test_every_shard_has_its_own_summary(store):
    for start in (0, 2):
        write(store, start, start + 2, {"c": np.arange(2)}, summary={"start": start})
    assert store.summaries(store.table(FOLDER, 4)) == [{"start": 0}, {"start": 2}]
