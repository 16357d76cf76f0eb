"""A missing store is distinguished from a store with nothing done, and a finished store may be read-only."""

import errno
import os
from pathlib import Path

import pytest
from terminal import Dmm, answer, serial

from jobs.options import screen
from jobs.running.publishing import publish_file
from pipeline.core.errors import DataError
from pipeline.store.store import Store


@pytest.fixture(params=["nothing", "empty", "other"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a folder that is no store.

    It does not exist, it is empty, or holds files of something else.
    """
    if request.param != "nothing":
        (tmp_path / request.param).mkdir()
    if request.param == "other":
        (tmp_path / "other" / "notes.txt").touch()
    return request.param


@pytest.mark.parametrize("more", [(), ("--repair",)])
def test_what_is_no_store_cannot_be_verified(
    dmm: Dmm, nowhere: str, tmp_path: Path, more: tuple[str, ...]
) -> None:
    status, _, err = dmm("verify", "tiny.yaml", "--store", nowhere, *more)
    assert status == 2
    assert "no run has begun there" in err
    assert str(tmp_path / nowhere) in err


@pytest.mark.parametrize("look", [("status",), ("watch", "--once")])
def test_who_looks_is_told_that_nothing_is_there(dmm: Dmm, nowhere: str, look: tuple[str, ...]) -> None:
    verb, *more = look
    status, out, _ = dmm(verb, "tiny.yaml", "--store", nowhere, "--json", *more)
    assert status == 0
    assert "no run has begun there" in answer(out)["nothing_there"]
    assert "no run has begun there" in out.rpartition("{")[0]


def test_a_store_in_which_a_run_has_begun_is_one(dmm: Dmm, tmp_path: Path) -> None:
    Store(str(tmp_path / "store")).claim()
    assert answer(dmm("status", "tiny.yaml", "--store", "store", "--json")[1])["nothing_there"] is None
    status, out, _ = dmm("verify", "tiny.yaml", "--store", "store")
    assert (status, "so there is nothing to check" in out) == (0, True)


@pytest.fixture
def read_only(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished store in which nothing can be written any more."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    return finished


def test_a_finished_run_shows_its_results_from_a_store_that_is_read_only(
    dmm: Dmm, read_only: Path, tmp_path: Path
) -> None:
    status, out, err = dmm(*serial("run", "--set", "tracking.uri=null"))
    assert (status, answer(out)["complete"], answer(out)["mlflow_run_id"]) == (0, True, "")
    assert "All done already" in out
    assert "the pages of MLflow cannot be updated: " in err
    assert (tmp_path / "report-tiny.html").exists()
    assert not (read_only / "mlflow.db").exists()


def test_an_attribution_leaves_its_picture_in_the_current_folder_where_the_store_is_read_only(
    dmm: Dmm, read_only: Path, tmp_path: Path
) -> None:
    status, out, err = dmm(*serial("attribute", "--target", "3"))
    assert status == 0
    assert Path(answer(out)["picture"]).parent == tmp_path
    assert f"it is at {answer(out)['picture']} instead" in err


def test_what_is_to_be_computed_is_refused_where_the_store_is_read_only(dmm: Dmm, read_only: Path) -> None:
    status, _, err = dmm(*serial("run", "--set", "seed=5"))
    assert status == 1
    assert "nothing was computed, because the store cannot keep results" in err


def test_what_is_there_already_is_not_written_again(read_only: Path) -> None:
    (read_only / "page.html").write_bytes(b"page")
    assert publish_file(Store(str(read_only)), "page.html", b"page", screen) == str(read_only / "page.html")


def test_a_picture_goes_nowhere_only_where_nothing_can_be_written(
    read_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        publish_file(Store(str(read_only)), "page.html", b"page", screen)


@pytest.mark.parametrize("picture", ["store", "no/folder/p.png", "p.jpg", "folder.png"])
def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_computed(
    dmm: Dmm, tmp_path: Path, picture: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    status, _, err = dmm(*serial("attribute", "--target", "3", "--output", picture))
    assert (status, "--output" in err) == (2, True)
    assert not (tmp_path / "store").exists()
