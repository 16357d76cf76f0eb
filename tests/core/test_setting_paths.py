"""Paths in settings: workers get absolute paths, and fingerprints hold the content instead of the path."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from pydantic import Field

from pipeline.core.errors import DataError
from pipeline.core.registry import Plugin, describe, identity, revision
from pipeline.core.settings.paths import paths_in, with_absolute_paths
from pipeline.data.dataset_digests import contents_of


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
    return Outer(
        inner=Inner(weights=Path("w.bin")), files=(Path("a.txt"),), by_name={"x": Path("b.txt"), "y": 2}
    )


def test_every_path_is_found_and_text_is_no_path(outer: Outer) -> None:
    assert [str(path) for path in paths_in(outer)] == ["w.bin", "a.txt", "b.txt"]


def test_paths_become_absolute_and_all_else_stays(outer: Outer, tmp_path: Path) -> None:
    found = with_absolute_paths(outer)
    assert list(paths_in(found)) == [tmp_path / "w.bin", tmp_path / "a.txt", tmp_path / "b.txt"]
    assert identity(found) == identity(outer)
    assert (found.label, found.inner.width, found.by_name["y"]) == ("a/b", 3, 2)


@pytest.mark.parametrize("path", ["~/w.bin", "$PLACE/w.bin", "${PLACE}/w.bin"])
def test_home_and_environment_variables_are_expanded(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert with_absolute_paths(Inner(weights=Path(path))).weights == tmp_path / "w.bin"


def test_an_identity_holds_no_path(outer: Outer) -> None:
    assert identity(outer) == {
        "name": f"{__name__}:Outer",
        "inner": {"name": f"{__name__}:Inner", "width": 3},
        "files": [],
        "by_name": {"y": 2},
        "label": "a/b",
    }


def test_where_no_path_is_set_the_identity_is_the_description_with_the_names_of_nested_plugins() -> None:
    plugin = Outer(by_name={"y": 2}, inner=Inner(width=7))
    described = describe(plugin)
    assert identity(plugin) == described | {"inner": {"name": f"{__name__}:Inner"} | described["inner"]}


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


def test_a_path_where_nothing_lies_here_counts_itself(tmp_path: Path) -> None:
    assert Inner(weights=tmp_path / "none").content() != Inner(weights=tmp_path / "neither").content()
    assert (Inner().content(), contents_of(Inner())) == ("", [])


@dataclass(frozen=True)
class Source:
    path: Path
    width: int = 3


class Pair(NamedTuple):
    one: Path
    other: Path


class Holder(Plugin):
    name: ClassVar[str] = "holder"
    several: frozenset[Path] = frozenset()
    source: Source | None = None
    pair: Pair | None = None
    by_name: dict[str, list[Path]] = Field(default_factory=dict)
    tags: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "settings",
    [
        {"several": frozenset([Path("a.txt")])},
        {"source": Source(Path("a.txt"))},
        {"pair": Pair(Path("a.txt"), Path("a.txt"))},
        {"by_name": {"x": [Path("a.txt")]}},
    ],
)
def test_a_path_is_found_in_whatever_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("1")
    plugin = with_absolute_paths(Holder(**settings))
    assert set(paths_in(plugin)) == {tmp_path / "a.txt"}
    assert "a.txt" not in str(identity(plugin))
    before = revision(plugin)
    (tmp_path / "a.txt").write_text("changed")
    assert revision(plugin) != before


def test_a_set_has_one_identity_in_every_process() -> None:
    tags = frozenset({"delta", "alpha", "charlie", "bravo"})
    assert identity(Holder(tags=tags))["tags"] == sorted(tags)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.bin").write_text("w")

    def refuse(self: Path, mode: str = "r") -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"w\.bin cannot be read \(Permission denied\)"):
        Inner(weights=tmp_path / "w.bin").content()
