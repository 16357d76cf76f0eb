"""`dmm verify --repair` beside a running run.

Files that its writers are about to finish or list stay; files of killed writers are moved aside.
"""

import os
import time
from pathlib import Path

import pytest
from terminal import Dmm, answer, serial
from tiny import tables

from jobs.commands import verify as verifying
from pipeline.store.files import TEMPORARY
from pipeline.store.store import Store

NAMES = (
    f"{TEMPORARY}0123",
    "members-000005-000010.0123456789abcdef.safetensors",
    "members-000005-000010.0123456789abcdef.json",
)


@pytest.fixture
def beside(finished: Path) -> Path:
    """The folder of a table of a finished store, with files of a writer whose shard is not listed yet."""
    folder = next(finished.glob("train/subset-*/*"))
    for name in NAMES:
        (folder / name).write_bytes(b"half")
    return folder


def age(folder: Path) -> None:
    for name in NAMES:
        os.utime(folder / name, (time.time() - verifying.YOUNG_SECONDS - 60,) * 2)


@pytest.mark.parametrize("skew", [0.0, -7 * 86400.0, 7 * 86400.0])
def test_what_a_living_writer_is_about_to_finish_or_list_stays(
    dmm: Dmm, beside: Path, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    now = time.time
    monkeypatch.setattr(verifying.time, "time", lambda: now() + skew)
    status, out, _ = dmm(*serial("verify", "--repair"))
    result = answer(out)
    assert (status, result["problems"], result["quarantined"], result["n_young"]) == (0, [], [], 3)
    assert all((beside / name).exists() for name in NAMES)
    assert "3 files belong to no shard" in out
    assert "Verify again an hour after the last run ends" in " ".join(out.split())


def test_what_a_killed_writer_left_an_hour_ago_is_set_aside(dmm: Dmm, beside: Path) -> None:
    age(beside)
    assert dmm("verify", "tiny.yaml", "--store", "store", "--json")[0] == 1
    status, out, _ = dmm(*serial("verify", "--repair"))
    assert (status, len(answer(out)["quarantined"]), answer(out)["n_young"]) == (0, 3, 0)
    assert not any((beside / name).exists() for name in NAMES)


def test_a_bad_shard_is_made_again_however_young_it_is(dmm: Dmm, beside: Path) -> None:
    before = tables("store")
    shard = next(beside.glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-20])
    status, out, _ = dmm(*serial("verify", "--repair"))
    result = answer(out)
    assert (status, [Path(path).name for path in result["quarantined"]], result["n_young"]) == (
        0,
        [shard.name],
        3,
    )
    assert tables("store") == before


def test_a_blob_that_is_written_again_while_all_is_read_stays(
    dmm: Dmm, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(beside)
    check = Store.check

    def check_and_write(store: Store, folder: str, **options: float) -> list:
        found = check(store, folder, **options)
        (beside / NAMES[1]).write_bytes(b"whole")
        return found

    monkeypatch.setattr(Store, "check", check_and_write)
    assert sorted(
        Path(path).name for path in answer(dmm(*serial("verify", "--repair"))[1])["quarantined"]
    ) == sorted([NAMES[0], NAMES[2]])
    assert (beside / NAMES[1]).exists()


@pytest.mark.usefixtures("finished")
def test_verifying_without_repair_writes_nothing(dmm: Dmm) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in Path("store").rglob("*"))
    assert dmm("verify", "tiny.yaml", "--store", "store", "--json")[0] == 0
    assert sorted((path, path.stat().st_mtime_ns) for path in Path("store").rglob("*")) == before
