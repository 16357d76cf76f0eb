"""Files of equal size and time are digested once, and other processes look up the digests."""

import os
from pathlib import Path

import pytest

from jobs.session import read_experiment
from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest_bytes
from pipeline.execution import stored_digests
from pipeline.sources import source_digests
from pipeline.sources.source_digests import SourceDigests, file_digests, grouped_digests
from pipeline.store.store import Store


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.pt" for number in range(3)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def test_groups_have_the_digests_of_their_files(files: list[Path]) -> None:
    expected = [digest_bytes(path.read_bytes()) for path in files]
    assert file_digests(files) == expected
    assert grouped_digests([files[:1], files[1:]]) == [expected[:1], expected[1:]]


def test_a_file_that_changed_in_place_is_read_again(files: list[Path]) -> None:
    before = file_digests(files)
    stat = files[1].stat()
    files[1].write_bytes(b"9.pt")
    os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    after = file_digests(files)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_a_file_that_is_gone_is_named(files: list[Path]) -> None:
    files[2].unlink()
    with pytest.raises(DataError, match=r"2\.pt cannot be read \(No such file"):
        file_digests(files)


def test_what_one_process_read_another_looks_up(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, store = SourceDigests(), SourceDigests(), Store(str(tmp_path / "store"))
    store.claim()
    monkeypatch.setattr(stored_digests, "SOURCE_DIGESTS", one)
    expected = one.of(files)
    stored_digests.record_digests(store, read_experiment(None, (), None))
    monkeypatch.setattr(stored_digests, "SOURCE_DIGESTS", other)
    stored_digests.recall_digests(store)
    monkeypatch.setattr(source_digests, "digest_files", pytest.fail)
    assert (other.of(files), other.read) == (expected, {})
