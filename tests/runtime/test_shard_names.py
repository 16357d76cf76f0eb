"""A name that is taken for a shard's is the one that the shard is opened under; lost shards keep their ranges."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.shards import ShardName, split

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
