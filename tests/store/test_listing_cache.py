"""A large folder is listed seldom and a small one every time; shards made here are known at once."""

import pytest

from pipeline.store import listing_cache as recent
from pipeline.store.listing_cache import ListingCache
from pipeline.store.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(str(tmp_path))
    for start in (0, 5):
        store.files.write(f"table/members-{start:06d}-{start + 5:06d}.{'0' * 16}.parquet", b"")
    return store


def add(store: Store) -> None:
    store.files.write(f"table/members-000010-000015.{'0' * 16}.parquet", b"")


@pytest.mark.parametrize(
    ("start", "stop", "holds"), [(0, 5, True), (2, 9, True), (0, 10, True), (5, 11, False), (10, 15, False)]
)
def test_it_knows_ranges_across_shards(store: Store, start: int, stop: int, holds: bool) -> None:
    assert ListingCache().holds(store, "table", start, stop) == holds


def test_a_small_folder_is_listed_every_time(store: Store) -> None:
    recently = ListingCache()
    assert not recently.holds(store, "table", 10, 15)
    add(store)
    assert recently.holds(store, "table", 10, 15)


def test_a_large_folder_is_not_listed_again_at_once_and_what_was_made_here_is_known(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "WORTH_KEEPING", 0.0)
    monkeypatch.setattr(recent, "_SHARE", 1e-9)
    recently = ListingCache()
    assert not recently.holds(store, "table", 10, 15)
    add(store)
    assert not recently.holds(store, "table", 10, 15)
    recently.made(store, "table", 10, 15)
    assert recently.holds(store, "table", 10, 15)


def test_a_shard_that_was_made_here_and_has_vanished_is_missed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "WORTH_KEEPING", 0.0)
    monkeypatch.setattr(recent, "_SHARE", 1e-9)
    recently = ListingCache()
    assert not recently.holds(store, "table", 10, 15)
    recently.made(store, "table", 10, 15)
    assert not recently.holds(store, "table", 10, 15)
