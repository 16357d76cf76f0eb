"""Only the exact name of a shard is taken for a shard.

Lost shards keep their ranges.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store.shards import ShardName, parse_names, split

NUMBERS = st.from_regex(r"\A\d{6,8}\Z")
RANGES = st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(start=NUMBERS, stop=NUMBERS)
def test_what_is_taken_for_a_shard_is_opened_under_the_name_that_was_listed(start, stop):
    name = f"members-{start}-{stop}.0123456789abcdef.parquet"
    assert ShardName.parse(name) is None or str(ShardName.parse(name)) == name


@given(bounds=RANGES, size=st.integers(1, 12), lost=st.lists(RANGES, max_size=6))
def test_any_number_of_lost_shards_leaves_no_unit_out_and_none_twice(bounds, size, lost):
    parts = split([bounds], size, lost=lost)
    assert [unit for part in parts for unit in range(*part)] == list(range(*bounds))


STEM = "members-000000-000010.0123456789abcdef"
KEPT = f"{STEM}.00000000000000aa.safetensors"


@pytest.mark.parametrize(
    ("beside", "n_kept"),
    [
        ([KEPT], 1),
        (["members-000000-000010.00000000000000aa.safetensors"], 1),  # a blob of the first layout
        ([], 0),
        (["members-000000-000010.ffffffffffffffff.00000000000000aa.safetensors"], 0),
        (["members-000000-000020.00000000000000aa.safetensors"], 0),
        ([f"{STEM}.00000000000000aa.png"], 0),
        ([f"{STEM}.json"], 0),
    ],
)
def test_a_shard_is_kept_with_a_file_of_its_own(beside, n_kept):
    names = [f"{STEM}.parquet", *beside]
    assert len(parse_names(names)) == 1
    assert len(parse_names(names, keeping="safetensors")) == n_kept


def test_what_lies_beside_a_shard_is_named_and_makes_no_other_shard():
    (shard,) = parse_names([KEPT, f"{STEM}.parquet", f"{STEM}.json", f"{STEM}.00000000000000bb.safetensors"])
    assert shard.beside == KEPT == shard.file_beside("safetensors", "00000000000000aa")
    assert shard == ShardName.parse(f"{STEM}.parquet")
