"""Odd input, drawn at random.

A command ends with 0 or 2 and never with a traceback. A file of ids is read correctly or refused.

The seed is fixed, so the tests give the same answer each time. `make fuzz` draws another one, prints it, and
tests longer.
"""

import re
import string
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from fuzz import EFFORT, SEED
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from terminal import Dmm
from tiny import TINY

from pipeline.core.errors import DataError
from pipeline.data.point_ids import IdError, checked_ids, read_ids


def bounded(n_examples: int) -> settings:
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=n_examples * EFFORT,
        deadline=None,
        database=None,
        suppress_health_check=quiet,
        print_blob=True,
    )


WORDS = [
    "17",
    "0",
    "3",
    "017",
    "17.0",
    "1,017",
    "1_017",
    "+3",
    "-3",
    "1e3",
    "0x11",
    "",
    " 5 ",
    '"7"',
    "٣",
    "²",
    "id",
    "index",
    "ID",
]
WORDS += ["label", "point", "99999999999999999999", "nan", "17;18", "1 234", "'9'", "#3", "3\t4"]
CELLS = st.sampled_from(WORDS) | st.integers(0, 200).map(str) | st.text(string.printable, max_size=4)
PLAIN = st.lists(st.integers(0, 2000), min_size=1, max_size=5, unique=True).map(
    lambda ids: list(map(str, ids))
)
# Plain ids with at most one odd line among them, and lines of anything.
ROWS = st.tuples(PLAIN, st.lists(CELLS, max_size=1), PLAIN).map(
    lambda parts: [line for part in parts for line in part]
)
ROWS |= st.lists(st.lists(CELLS, min_size=1, max_size=3).map(",".join), max_size=6)


def strict_ids(suffix: str, content: str) -> set[int] | None:
    """Return the ids in a text, or None if there is any doubt.

    Written apart from the parser that it checks.
    """
    lines = [
        line.strip(' \t"') if "," not in line else line
        for line in re.split("\r\n|[\r\n]", content.removeprefix("\ufeff"))
    ]
    lines = [line for line in lines if line.replace(",", "").strip()]
    cells = [
        [cell.strip().strip('"').strip() for cell in line.split("," if suffix == ".csv" else None)]
        for line in lines
    ]
    names = [[name.lower() for name in row] for row in cells[:1]]
    column, body = 0, cells
    if names and any(re.search("[a-z]", name) for name in names[0]):
        named = [number for number, name in enumerate(names[0]) if name in ("id", "index")]
        if len(names[0]) > 1 and len(named) != 1:
            return None
        column, body = (named or [0])[0], cells[1:]
    elif cells and cells[0] == ["0"]:
        return None
    if suffix == ".csv" and any(len(row) != len(cells[0]) for row in cells):
        return None
    picked = [row[column] for row in body] if suffix == ".csv" else [cell for row in body for cell in row]
    if (
        not picked
        or not all(re.fullmatch("0|[1-9][0-9]{0,17}", cell, re.ASCII) for cell in picked)
        or len(set(picked)) < len(picked)
    ):
        return None
    return {int(cell) for cell in picked}


@seed(SEED)
@bounded(300)
@given(
    rows=ROWS,
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    suffix=st.sampled_from([".csv", ".txt"]),
    start=st.sampled_from(["", "\ufeff"]),
)
def test_a_text_of_ids_is_read_rightly_or_refused(
    tmp_path: Path, rows: list[str], ending: str, suffix: str, start: str
) -> None:
    content = start + ending.join(rows)
    (tmp_path / f"ids{suffix}").write_bytes(content.encode())
    try:
        found = read_ids(tmp_path / f"ids{suffix}").tolist()
    except DataError:
        return
    assert len(set(found)) == len(found)
    assert set(found) == strict_ids(suffix, content)


@seed(SEED)
@bounded(30)
@given(
    ids=st.lists(st.integers(0, 10**12), min_size=1, unique=True),
    header=st.sampled_from(["id", "Index", "train_id", None]),
)
def test_a_plain_list_of_ids_is_never_refused(tmp_path: Path, ids: list[int], header: str | None) -> None:
    headless = header is None and ids[0] != 0
    (tmp_path / "ids.csv").write_text("\n".join([*([] if headless else [header or "id"]), *map(str, ids)]))
    assert read_ids(tmp_path / "ids.csv").tolist() == ids


@seed(SEED)
@bounded(60)
@given(
    ids=st.lists(st.integers(-2, 2**63 + 2) | st.sampled_from([True, 3.0, "3", "03", None]), max_size=5),
    suffix=st.sampled_from([".npy", ".parquet", ""]),
)
def test_ids_of_other_kinds_are_read_rightly_or_refused(tmp_path: Path, ids: list[Any], suffix: str) -> None:
    try:
        if suffix == ".npy":
            np.save(tmp_path / "ids.npy", np.array(ids))
            ids = np.array(ids).tolist()
        elif suffix == ".parquet":
            pd.DataFrame({"id": ids}).to_parquet(tmp_path / "ids.parquet")
    except (OverflowError, ValueError, TypeError):
        return
    plain = (
        bool(ids) and all(type(one) is int and 0 <= one < 2**63 for one in ids) and len(set(ids)) == len(ids)
    )
    try:
        found = read_ids(tmp_path / f"ids{suffix}").tolist() if suffix else list(checked_ids(ids))
    except (DataError, IdError):
        assert not plain or suffix
        return
    assert plain
    assert found == ids


@seed(SEED)
@bounded(60)
@given(
    place=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
    length=st.floats(0.1, 1),
    name=st.sampled_from(["ids.npy", "ids.parquet"]),
)
def test_a_damaged_file_of_ids_is_read_or_refused(
    tmp_path: Path, place: float, byte: int, length: float, name: str
) -> None:
    if name == "ids.npy":
        np.save(tmp_path / name, np.arange(3, 9))
    else:
        pd.DataFrame({"id": range(3, 9)}).to_parquet(tmp_path / name)
    content = bytearray((tmp_path / name).read_bytes())
    content[int(place * len(content))] = byte
    (tmp_path / name).write_bytes(bytes(content[: max(1, round(length * len(content)))]))
    try:
        found = read_ids(tmp_path / name)
    except DataError:
        return
    assert found.dtype == np.int64
    assert (found >= 0).all()


VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1,
    3,
    2**63,
    10**30,
    0.5,
    1.0,
    float("nan"),
    float("inf"),
    "",
    "yes",
    "on",
    "017",
    "1e3",
    "5e-4",
]
VALUES += [
    "a\0b",
    "x" * 300,
    "none",
    "[x]",
    "a/b",
    "../x",
    "x.npz",
    [],
    [1, "a"],
    {},
    {"name": "x"},
    {"a": {"b": []}},
    "os:path",
    "nowhere:Class",
    "😀",
]
ODD = st.sampled_from(VALUES)


def places_in(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of every setting in a config."""
    if not isinstance(tree, dict):
        return [here]
    return [here, *(place for key, value in tree.items() for place in places_in(value, (*here, key)))]


def put(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    return value if not place else {**tree, place[0]: put(tree.get(place[0]), place[1:], value)}


PLACES = [place for place in places_in(TINY) if place]
ENDINGS = {0, 2}


def check_refusal(status: int, err: str, out: str) -> None:
    assert status in ENDINGS
    assert "Traceback" not in err + out
    assert "defect of dmm" not in err
    assert status == 0 or err.startswith(("dmm: ", "Usage"))


@seed(SEED)
@bounded(50)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
def test_a_config_with_odd_values_is_planned_or_refused(
    dmm: Dmm, tmp_path: Path, changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    tree: Any = TINY
    for place, value in changes:
        if all(isinstance(part, dict) for part in ancestors(tree, place)):
            tree = put(tree, place, value)
    (tmp_path / "odd.yaml").write_text(yaml.dump(tree, allow_unicode=False), encoding="utf-8")
    status, out, err = dmm("plan", "odd.yaml", "--store", "store")
    check_refusal(status, err, out)


def ancestors(tree: Any, place: tuple[str, ...]) -> list[Any]:
    """Return what lies above a place, from the top; ends early where something is not a mapping."""
    found = []
    for key in place:
        found.append(tree)
        tree = tree.get(key) if isinstance(tree, dict) else None
    return found


KEYS = st.sampled_from([".".join(place) for place in PLACES]) | st.text("abc._ =", max_size=6)
YAMLS = [
    "[" * 200,
    "&a [*a]",
    "{a: 1, a: 2}",
    "!!int 017",
    "{<<: 1}",
    "- - -",
    "a: b: c",
    "? x",
    "|",
    "%YAML 1.1",
    "\t",
]
TEXTS = ODD.map(str) | st.text(string.printable + "é٣", max_size=12) | st.sampled_from(YAMLS)


@seed(SEED)
@bounded(50)
@given(overrides=st.lists(st.tuples(KEYS, TEXTS), min_size=1, max_size=2))
def test_odd_overrides_are_planned_or_refused(dmm: Dmm, overrides: list[tuple[str, str]]) -> None:
    words = [word for key, text in overrides for word in ("--set", f"{key}={text}")]
    status, out, err = dmm("plan", "tiny.yaml", "--store", "store", *words)
    check_refusal(status, err, out)


@seed(SEED)
@bounded(80)
@given(content=st.text(string.printable, max_size=60) | st.binary(max_size=40))
def test_a_file_of_anything_is_no_config(dmm: Dmm, tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    status, out, err = dmm("config", "odd.yaml")
    check_refusal(status, err, out)


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_the_strict_parser_reads_what_is_plain(suffix: str) -> None:
    assert strict_ids(suffix, "id\n3\n5\n") == {3, 5}
    assert strict_ids(suffix, "3\n05\n") is None
