"""Paths among settings: workers get them absolute, fingerprints hold what lies there instead."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from pipeline.core.errors import DataError
from pipeline.core.registry import Plugin, contents_of, describe, identity, revision
from pipeline.core.setting_paths import paths_in, with_absolute_paths


class Inner(Plugin):
    name: ClassVar[str] = "inner"
    weights: Path | None = None
    width: int = 3


class Outer(Plugin):
    name: ClassVar[str] = "outer"
    inner: Inner = Inner()
    files: tuple[Path, ...] = ()
    by_name: dict[str, Path | int] = Field(default_factory=dict)
    label: str = "a/b"


@pytest.fixture
def outer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outer:
    monkeypatch.chdir(tmp_path)
    for name in ("w.bin", "a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    return Outer(inner=Inner(weights=Path("w.bin")), files=(Path("a.txt"),), by_name={"x": Path("b.txt"), "y": 2})


def test_every_path_is_found_and_text_is_no_path(outer: Outer) -> None:
    assert [str(path) for path in paths_in(outer)] == ["w.bin", "a.txt", "b.txt"]


def test_paths_become_absolute_and_all_else_stays(outer: Outer, tmp_path: Path) -> None:
    found = with_absolute_paths(outer)
    assert list(paths_in(found)) == [tmp_path / "w.bin", tmp_path / "a.txt", tmp_path / "b.txt"]
    assert identity(found) == identity(outer)
    assert (found.label, found.inner.width, found.by_name["y"]) == ("a/b", 3, 2)


@pytest.mark.parametrize("path", ["~/w.bin", "$PLACE/w.bin", "${PLACE}/w.bin"])
def test_home_and_environment_variables_are_expanded(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert with_absolute_paths(Inner(weights=Path(path))).weights == tmp_path / "w.bin"


def test_an_identity_holds_no_path(outer: Outer) -> None:
    assert identity(outer) == {
        "name": f"{__name__}:Outer",
        "inner": {"width": 3},
        "files": [],
        "by_name": {"y": 2},
        "label": "a/b",
    }


def test_where_no_path_is_set_the_identity_is_the_description() -> None:
    plugin = Outer(by_name={"y": 2}, inner=Inner(width=7))
    assert identity(plugin) == describe(plugin)


def test_what_lies_at_a_path_is_part_of_the_revision(outer: Outer, tmp_path: Path) -> None:
    before, moved = revision(outer), tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "w.bin").rename(moved / "w.bin")
    same = outer.model_copy(update={"inner": Inner(weights=moved / "w.bin")})
    assert revision(same) == before
    (moved / "w.bin").write_text("changed")
    assert revision(same) != before


def test_a_folder_counts_with_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "weights" / "deep").mkdir(parents=True)
    plugin = Inner(weights=tmp_path / "weights")
    before = plugin.content()
    (tmp_path / "weights" / "deep" / "a").write_text("1")
    assert plugin.content() != before


def test_a_path_where_nothing_lies_has_no_content(tmp_path: Path) -> None:
    assert contents_of(Inner(weights=tmp_path / "none")) == []
    assert Inner(weights=tmp_path / "none").content() == Inner().content() == ""


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.bin").write_text("w")

    def refuse(self: Path, mode: str = "r") -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"w\.bin cannot be read \(Permission denied\)"):
        Inner(weights=tmp_path / "w.bin").content()
