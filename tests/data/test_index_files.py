"""Files of ids: every format gives the same set, and a garbled file is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import DataError
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.file import IndexFile, read_ids

TEXTS = {
    "lines.txt": "7\n2\n5\n",
    "words.TXT": "\ufeff7 2\t5",
    "headless.csv": "7\n2\n\n5\n",
    "one.csv": "point\n7\n2\n5\n",
    "named.csv": "label, ID ,why\n0,7,a\n0,2,b\n1,5,c\n",
    "pandas.csv": ",index\n0,7\n1,2\n2,5\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_read(tmp_path: Path, examples: Examples, name: str) -> None:
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
    assert IndexFile(path=tmp_path / name).select(examples, None).tolist() == [2, 5, 7]


@pytest.mark.parametrize("frame", [{"any": [7, 2, 5]}, {"label": [0, 0, 1], "id": [7, 2, 5]}])
def test_parquet_is_read(tmp_path: Path, frame: dict[str, list[int]]) -> None:
    pd.DataFrame(frame).to_parquet(tmp_path / "ids.parquet")
    assert read_ids(tmp_path / "ids.parquet").tolist() == [7, 2, 5]


def test_identity_is_the_ids_and_not_the_form(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([5, 2, 7], np.uint16))
    (tmp_path / "b.txt").write_text("7\n5\n2\n")
    (tmp_path / "c.txt").write_text("7\n5\n3\n")
    a, b, c = (IndexFile(path=tmp_path / name).content() for name in ("a.npy", "b.txt", "c.txt"))
    assert a == b != c


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ids.json", b"[1]", "ends in '.json'; expected one of .npy, .txt, .csv, .parquet"),
        ("ids.txt", b"3 4.0", "'4.0'"),
        ("ids.txt", b"\xff\xfe", "cannot be read"),
        ("ids.txt", b"99999999999999999999", "cannot be read"),
        ("ids.txt", b"", "is empty"),
        ("ids.csv", b"", "is empty"),
        ("ids.csv", b"a,b\n1,2\n", "its columns are a, b"),
        ("ids.csv", b"id,b\n1,2\n3\n", "from 1 to 2 columns"),
        ("ids.npy", b"not numpy", "cannot be read"),
        ("ids.npy", b"", "cannot be read"),
        ("ids.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_garbled_files_are_refused_before_training(tmp_path: Path, examples: Examples, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        IndexFile(path=tmp_path / name).check(examples)


@pytest.mark.parametrize("ids", [np.array([1.0]), np.ones((2, 2), int), np.array([True, False]), np.array([None])])
def test_numpy_files_hold_a_list_of_integers(tmp_path: Path, ids: np.ndarray) -> None:
    np.save(tmp_path / "ids.npy", ids)
    with pytest.raises(DataError, match="cannot be read"):
        read_ids(tmp_path / "ids.npy")


@pytest.mark.parametrize("values", [[1.5, 2.0], pd.array([1, None], dtype="Int64")])
def test_parquet_columns_hold_integers(tmp_path: Path, values: object) -> None:
    pd.DataFrame({"id": values}).to_parquet(tmp_path / "ids.parquet")
    with pytest.raises(DataError, match="cannot be read"):
        read_ids(tmp_path / "ids.parquet")
