"""Ranges of units: the shard of each unit, missing units and the cutting of work.

The reference is a model that looks at one unit at a time.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store.shards import Piece, ShardName, cover, gaps, is_covered, split

N_UNITS = 30
RANGES = st.tuples(st.integers(0, 40), st.integers(1, 15)).map(lambda pair: (pair[0], pair[0] + pair[1]))
DIGESTS = st.text("0123456789abcdef", min_size=16, max_size=16)
SHARDS = st.builds(lambda bounds, digest: ShardName("members", *bounds, digest), RANGES, DIGESTS)


def holders(shards, n_units):
    """Return for each unit the lexically first shard that holds it, or None."""
    return [
        min((shard for shard in shards if shard.start <= unit < shard.stop), key=str, default=None)
        for unit in range(n_units)
    ]


@given(
    shard=st.builds(
        lambda bounds, digest: ShardName("units", *bounds, digest),
        RANGES.map(lambda bounds: (bounds[0] * 10**5, bounds[1] * 10**5)),
        DIGESTS,
    )
)
def test_a_name_is_read_back(shard):
    assert ShardName.parse(str(shard)) == shard


@pytest.mark.parametrize(
    "name",
    [
        "members-000000-000010.0123456789abcdef.json",
        ".half-written-0123",
        "members-000010-000010.0123456789abcdef.parquet",
        "members-000011-000010.0123456789abcdef.parquet",
        "members-00000-000010.0123456789abcdef.parquet",
        "members-000000-000010.0123456789ABCDEF.parquet",
        "members-000000-000010.0123.parquet",
        "node.json",
        "",
    ],
)
def test_what_is_no_shard_is_not_taken_for_one(name):
    assert ShardName.parse(name) is None


@given(shards=st.lists(SHARDS, max_size=12))
def test_every_unit_comes_from_the_lexically_first_shard_that_holds_it(shards):
    pieces = cover(shards, N_UNITS)
    served = {unit: piece.shard for piece in pieces for unit in range(piece.start, piece.stop)}
    assert [served.get(unit) for unit in range(N_UNITS)] == holders(shards, N_UNITS)
    assert sum(piece.stop - piece.start for piece in pieces) == len(served)
    assert pieces == sorted(pieces, key=lambda piece: piece.start)


@given(shards=st.lists(SHARDS, max_size=12))
def test_gaps_are_the_units_that_no_shard_holds(shards):
    missing = [unit for start, stop in gaps(cover(shards, N_UNITS), N_UNITS) for unit in range(start, stop)]
    assert missing == [unit for unit, holder in enumerate(holders(shards, N_UNITS)) if holder is None]


@given(shards=st.lists(SHARDS, max_size=12), bounds=RANGES)
def test_a_range_is_covered_if_every_unit_of_it_is_held(shards, bounds):
    assert is_covered(shards, *bounds) == (None not in holders(shards, bounds[1])[bounds[0] :])


@given(ranges=st.lists(RANGES, max_size=5), size=st.integers(1, 12))
def test_work_is_cut_at_multiples_of_the_size_and_nothing_is_lost(ranges, size):
    parts = split(ranges, size)
    assert [unit for bounds in parts for unit in range(*bounds)] == [
        unit for bounds in ranges for unit in range(*bounds)
    ]
    assert all(stop - start <= size and start // size == (stop - 1) // size for start, stop in parts)


@given(ranges=st.lists(RANGES, max_size=3), size=st.integers(1, 12), lost=RANGES)
def test_a_lost_shard_is_made_again_as_it_was(ranges, size, lost):
    parts = split(ranges, size, lost=[lost])
    assert [unit for bounds in parts for unit in range(*bounds)] == [
        unit for bounds in ranges for unit in range(*bounds)
    ]
    for start, stop in ranges:
        assert (lost in parts) or not (start <= lost[0] and lost[1] <= stop)


def test_the_order_of_listing_does_not_matter():
    shards = [ShardName("members", start, start + 7, f"{start:016x}") for start in range(0, 60, 3)]
    assert cover(shards[::-1], 60) == cover(shards, 60)


def test_twenty_thousand_shards_are_one_walk():
    shards = [
        ShardName("members", 10 * number, 10 * number + 10, f"{number:016x}") for number in range(20_000)
    ]
    assert cover(shards, 200_000) == [Piece(shard, shard.start, shard.stop) for shard in shards]
