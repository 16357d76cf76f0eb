"""Files of ids: certain ids are read from every format; anything else is refused with line and value."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import DataError
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.file import IndexFile
from pipeline.data.point_ids import read_ids

TEXTS = {
    "lines.txt": "7\n2\n5\n",
    "words.TXT": "\ufeff7 2\t5",
    "headed.txt": "id\n7\n2\n5\n",
    "headless.csv": "7\n2\n\n5\n",
    "carriage_returns.csv": "7\r2\r5\r",
    "one.csv": "Train_Index\n7\n2\n5\n",
    "underscore.csv": "point_id\n7\n2\n5\n",
    "quoted.csv": '"id"\n"7"\n"2"\n" 5 "\n',
    "script.csv": "id,价格2\n7,a\n2,b\n5,c\n",
    "named.csv": "label, ID ,why\n0,7,a\n0,2,b\n1,5,c\n",
    "pandas.csv": ",index\n0,7\n1,2\n2,5\n",
}

REFUSED = [
    # The first line is no header if it may be an id.
    ("csv", "17.0\n18\n23\n", "line 1: '17.0' has a decimal point"),
    ("csv", '"1,017"\n18\n', "line 1: '1,017' holds a separator"),
    ("csv", "1_017\n18\n", "line 1: '1_017' holds a separator"),
    ("csv", "1'017\n18\n", 'line 1: "1\'017" holds a separator'),
    ("csv", "017\n18\n", "line 1: '017' has a leading zero"),
    ("csv", "+17\n18\n", "line 1: '+17' has a sign"),
    ("csv", "-1\n5\n", "line 1: '-1' has a sign"),
    ("csv", "1e1\n5\n", "line 1: '1e1' is not a whole number"),
    ("csv", "0x11\n5\n", "line 1: '0x11' is not a whole number"),
    ("csv", "# request 17\n5\n", "line 1: '# request 17' is a comment"),
    ("csv", "# removed on request\n5\n", "is a comment, and comments are not read"),
    ("csv", "PK\x03\x04", "it is a zip archive or a spreadsheet"),
    ("csv", "17;18;23\n", "line 1: '17;18;23' holds a separator"),
    ("csv", "٣\n5\n", "line 1: '٣' is not a whole number"),
    ("csv", "²\n5\n", "line 1: '²' is not a whole number"),
    ("csv", "0\n3\n5\n", "its first line is 0, which is the id 0 or the header"),
    ("csv", "17,id\n18,a\n", "its first line holds '17' among 2 columns"),
    ("csv", "017,id\n18,2\n", "its first line holds '017' among 2 columns"),
    ("csv", "3,5,8\n", "its first line holds '3' among 3 columns"),
    # Below a header, every line counts.
    ("csv", "id\n17.0\n", "line 2: '17.0' has a decimal point"),
    ("csv", "id\n17\n00018\n", "line 3: '00018' has a leading zero"),
    ("csv", "id\n99999999999999999999\n", "line 2: '99999999999999999999' is too large"),
    ("csv", f"id\n{2**63}\n", "is too large"),
    ("csv", "id,why\n3,a\n,b\n", "line 3: an id is missing"),
    ("csv", "id,why\n3,a,b\n", "line 2 has 3 columns but the first line has 2 columns"),
    ("csv", "3\n5\n3\n", "id 3 appears at line 1 and again at line 3"),
    ("csv", "ids\n0\n1\n0\n", "these look like a mask of 0 and 1"),
    ("csv", 'id\n"3\n', "unexpected end of data"),
    ("csv", "id\n3\x005\n", "line 2: '3\\x005' is not a whole number"),
    # Columns that may hold something else.
    ("csv", "label\n4\n7\n", "its only column is called 'label'"),
    ("csv", "id;why\n3;gdpr\n", "its first line is 'id;why'; separate columns with commas"),
    ("csv", "class_id\n4\n7\n", "its only column is called 'class_id'"),
    ("csv", "points\n4\n7\n", "its only column is called 'points'"),
    ("csv", "index,point_id\n0,17\n1,18\n", "its column 'index' numbers its rows"),
    ("csv", "a,b\n1,2\n", "its columns are 'a', 'b'; call the one that holds the ids `id`"),
    ("csv", "index,id\n0,13\n", "its columns are 'index', 'id'; leave one"),
    ("csv", "id,ID\n3,4\n", "its columns are 'id', 'ID'; leave one"),
    ("csv", ",0\n0,13\n", "its first line holds '0' among 2 columns"),
    ("csv", "", "it is empty"),
    ("csv", "id\n", "it is empty"),
    ("txt", "3,5,8", "line 1: '3,5,8' holds a separator; put each id on a line of its own"),
    ("txt", "3\n4.0", "line 2: '4.0' has a decimal point"),
    ("txt", "1 017", "line 1: '1 017' may hold an id with a space between thousands"),
    ("txt", "1\xa0234", "is not a whole number"),
    ("txt", "3\x0c5", "is not a whole number"),
    ("txt", "0\n3\n", "its first line is 0"),
    ("json", "[1]", "ends in '.json'; expected one of .npy, .txt, .csv, .parquet"),
]


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_read(tmp_path: Path, examples: Examples, name: str) -> None:
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8", newline="")
    assert read_ids(tmp_path / name).tolist() == [7, 2, 5]
    assert IndexFile(path=tmp_path / name).select(examples, None).tolist() == [2, 5, 7]


@pytest.mark.parametrize(("suffix", "content", "message"), REFUSED)
def test_what_is_not_surely_an_id_is_refused_with_its_place(
    tmp_path: Path, suffix: str, content: str, message: str
) -> None:
    file = tmp_path / f"request.{suffix}"
    file.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(DataError) as refusal:
        read_ids(file)
    assert message in str(refusal.value)
    assert str(file) in str(refusal.value)


@pytest.mark.parametrize("content", [b"\xff\xfe3\x00\n\x00", b"id\n\xe9\n"])
def test_texts_in_another_encoding_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ids.csv").write_bytes(content)
    with pytest.raises(DataError, match="it is not UTF-8 text"):
        read_ids(tmp_path / "ids.csv")


def test_identity_is_the_ids_and_not_the_form(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([5, 2, 7], np.uint16))
    (tmp_path / "b.txt").write_text("7\n5\n2\n")
    (tmp_path / "c.txt").write_text("7\n5\n3\n")
    a, b, c = (IndexFile(path=tmp_path / name).content() for name in ("a.npy", "b.txt", "c.txt"))
    assert a == b != c


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0]), "float64"),
        (np.zeros((2, 2), int), r"shape \(2, 2\)"),
        (np.array(3), r"shape \(\)"),
        (np.array([True, False]), r"a mask, bool of shape \(2,\); save numpy.flatnonzero"),
        (np.array([None]), "cannot be loaded"),
        (np.array(["3"]), "<U1"),
        (np.array([3, 2**63 + 5], np.uint64), "entry 2: '9223372036854775813' is too large"),
        (np.array([3, -1]), "entry 2: -1 is negative"),
        (np.array([3, 5, 3]), "id 3 appears at entry 1 and again at entry 3"),
        (np.zeros(0, int), "it is empty"),
    ],
)
def test_numpy_files_hold_one_list_of_ids(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "ids.npy", array)
    with pytest.raises(DataError, match=message):
        read_ids(tmp_path / "ids.npy")


def test_a_second_array_in_a_numpy_file_is_not_passed_over(tmp_path: Path) -> None:
    with (tmp_path / "ids.npy").open("wb") as file:
        np.save(file, np.array([3]))
        np.save(file, np.array([5]))
    with pytest.raises(DataError, match="more bytes follow its array"):
        read_ids(tmp_path / "ids.npy")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"training_ids": [7, 2, 5]}),
        pd.DataFrame({"label": [0, 0, 1], "Id": [7, 2, 5]}),
        pd.DataFrame({"label": [4, 7, 9]}, index=pd.Index([7, 2, 5], name="id")),
        pd.DataFrame({"id": pd.array([7, 2, 5], "Int64")}),
    ],
)
def test_parquet_is_read_as_it_is_stored(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "ids.parquet")
    assert read_ids(tmp_path / "ids.parquet").tolist() == [7, 2, 5]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"label": [4, 7, 9]}), "its only column is called 'label'"),
        (pd.DataFrame({"class_id": [4, 7, 9]}), "its only column is called 'class_id'"),
        (pd.DataFrame({"17": [4, 7, 9]}), "its only column is called '17'"),
        (
            pd.DataFrame({"label": [4, 7], "point": [17, 18]}).reset_index(),
            "its column 'index' numbers its rows",
        ),
        (pd.DataFrame({"v": [1, 2]}, index=[13, 15]), "'v', '__index_level_0__'"),
        (pd.DataFrame({"id": [1.5, 2.0]}), "column 'id' holds double; expected integers"),
        (pd.DataFrame({"id": ["3", "5"]}), "column 'id' holds"),
        (pd.DataFrame({"id": [True, False]}), "column 'id' holds bool"),
        (pd.DataFrame({"id": pd.array([1, None], "Int64")}), "row 2: None is not a whole number"),
        (pd.DataFrame({"id": np.array([3, 2**63 + 5], "u8")}), "row 2: '9223372036854775813' is too large"),
        (pd.DataFrame({"id": [3, 3]}), "id 3 appears at row 1 and again at row 2"),
        (pd.DataFrame({"id": [3]}, index=pd.Index([5], name="index")), "'id', 'index'; leave one"),
    ],
)
def test_parquet_that_may_hold_something_else_is_refused(
    tmp_path: Path, frame: pd.DataFrame, message: str
) -> None:
    frame.to_parquet(tmp_path / "ids.parquet")
    with pytest.raises(DataError, match=message):
        read_ids(tmp_path / "ids.parquet")


def test_two_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array([3]), pa.array([5])], names=["id", "id"]), tmp_path / "ids.parquet")
    with pytest.raises(DataError, match="'id', 'id'; leave one"):
        read_ids(tmp_path / "ids.parquet")


@pytest.mark.parametrize("name", ["ids.npy", "ids.parquet"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"not numpy", b"id\n3\n"])
def test_garbled_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_ids(tmp_path / name)


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv is a folder"):
        read_ids(tmp_path / "folder.csv")
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        read_ids(tmp_path / "none.csv")
    with pytest.raises(DataError, match="File name too long"):
        read_ids(tmp_path / f"{'x' * 300}.csv")
    (tmp_path / "link.csv").symlink_to("nowhere.csv")
    with pytest.raises(DataError, match=r"link\.csv is a link that leads to no file"):
        read_ids(tmp_path / "link.csv")
