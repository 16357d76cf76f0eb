"""A user's own .npz file is read as it is, or refused with the remedy."""

import contextlib
import gzip
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.data.datasets.npz import ArraysFile


def test_the_arrays_come_back_in_order(npz: Path, arrays: dict[str, Any]) -> None:
    examples = ArraysFile(path=npz).load()
    assert np.array_equal(
        examples.inputs, np.concatenate([arrays["train_inputs"], arrays["validation_inputs"]])
    )
    assert examples.labels.tolist() == [0, 1, 2, 2, 0]
    assert [str(array.dtype) for array in (examples.inputs, examples.labels)] == ["float32", "int64"]
    assert (examples.n_train, examples.n_classes) == (3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_inputs": np.zeros((3, 4), np.uint8)}, "train_inputs is uint8"),
        ({"train_inputs": np.zeros(3)}, r"train_inputs is float64 of shape \(3,\)"),
        (
            {"train_inputs": np.full((3, 4), 1e300)},
            r"\[0, 0\] is 1e\+300, one of 12 such numbers: too large for float32",
        ),
        ({"train_inputs": np.full((3, 4), [0, 0, -1e39, 0])}, r"\[0, 2\] is -1e\+39, one of 3 such"),
        ({"train_inputs": np.full((3, 4), [0, np.nan, 0, 0])}, r"train_inputs: \[0, 1\] is nan, one of 3"),
        (
            {"validation_inputs": np.array([[0.0] * 4, [0, 0, 0, -np.inf]])},
            r"validation_inputs: \[1, 3\] is -inf; replace",
        ),
        (
            {"train_inputs": np.array([[None]] * 3)},
            "train_inputs contains Python objects, which are never unpickled",
        ),
        ({"train_inputs": np.zeros((3, 4), complex)}, "train_inputs is complex128"),
        ({"train_inputs": np.zeros((3, 4), bool)}, "train_inputs is bool"),
        ({"train_labels": np.array(["cat", "dog", "owl"])}, r"return_inverse=True\)\[1\] numbers names"),
        ({"train_labels": np.eye(3)}, r"argmax\(axis=1\)"),
        ({"train_labels": np.array([True, False, True])}, r"astype\(int\)"),
        ({"train_labels": np.zeros(3)}, "train_labels is float64"),
        ({"train_labels": np.zeros((3, 1), np.int64)}, r"train_labels is int64 of shape \(3, 1\)"),
        ({"train_labels": np.array([0, 1])}, "3 train_inputs and 2 train_labels"),
        ({"train_labels": np.array([0, -1, 2])}, "labels span -1 to 2"),
        (
            {"train_labels": np.zeros(3, np.int64), "validation_labels": np.zeros(2, np.int64)},
            "at least two classes",
        ),
        ({"train_labels": np.array([0, 2, 2])}, "no training point has label 1, the largest is 2"),
        (
            {"train_labels": np.array([0, 1, 10**15])},
            "no training point has label 2, the largest is 1000000000000000",
        ),
        ({"train_labels": np.array([0, 1, 1])}, "no training point has label 2, the largest is 2"),
        ({"train_labels": np.array([0, 1, 2**63], np.uint64)}, "train_labels reach 9223372036854775808"),
        (
            {"train_inputs": np.zeros((3, 0)), "validation_inputs": np.zeros((2, 0))},
            "a point has no features",
        ),
        ({"validation_inputs": np.zeros((2, 5))}, r"has shape \(4,\), a validation input \(5,\)"),
        (
            {"validation_inputs": np.zeros((0, 4)), "validation_labels": np.zeros(0, np.int64)},
            "0 validation_inputs",
        ),
    ],
)
def test_unusable_arrays_are_refused(
    tmp_path: Path, arrays: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "data.npz", **(arrays | change))
    with pytest.raises(DataError, match=message):
        ArraysFile(path=tmp_path / "data.npz").load()


def test_a_missing_key_is_named(tmp_path: Path, arrays: dict[str, Any]) -> None:
    del arrays["validation_labels"]
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(
        DataError,
        match=r"lacks validation_labels \(it holds: train_inputs, train_labels, validation_inputs\)",
    ):
        ArraysFile(path=tmp_path / "data.npz").load()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz does not exist; make it with"):
        ArraysFile(path=tmp_path / "none.npz").load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; make it with"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, not data; download the file itself"),
        (b"\n <HTML>", "is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n",
            "is a pointer of Git LFS.* `git lfs pull`",
        ),
        (pickle.dumps({"train_inputs": [1.0]}), "is a pickle, which is never opened"),
        (gzip.compress(b"data", mtime=0), "is a gzip archive; unpack it first"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (b"PAR1 and so on", "is a Parquet file"),
        (b"1.0, 2.0", r"is not an \.npz file"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        ArraysFile(path=tmp_path / "data.npz").load()


@pytest.mark.parametrize("n_lost", [1, 40, 1000])
def test_a_file_that_is_cut_off_is_damaged(npz: Path, n_lost: int) -> None:
    npz.write_bytes(npz.read_bytes()[:-n_lost])
    with pytest.raises(DataError, match=r"is damaged.*copy or download it again"):
        ArraysFile(path=npz).load()


def test_a_flipped_byte_never_changes_the_arrays(npz: Path, tmp_path: Path) -> None:
    content, expected = npz.read_bytes(), ArraysFile(path=npz).load().digest
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        (tmp_path / "flipped.npz").write_bytes(flipped)
        with contextlib.suppress(DataError):
            assert ArraysFile(path=tmp_path / "flipped.npz").load().digest == expected


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"holds a single array \(\.npy\)"):
        ArraysFile(path=tmp_path / "data.npy").load()


def test_a_damaged_array_is_refused(npz: Path) -> None:
    content = npz.read_bytes()
    npz.write_bytes(content.replace(np.arange(20.0)[:12].tobytes(), bytes(96)))
    with pytest.raises(DataError, match="CRC"):
        ArraysFile(path=npz).load()


def test_a_member_that_is_no_array_is_refused(tmp_path: Path, npz: Path) -> None:
    with zipfile.ZipFile(npz) as old, zipfile.ZipFile(tmp_path / "text.npz", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"hello" if name == "train_labels.npy" else old.read(name))
    with pytest.raises(DataError, match="train_labels is"):
        ArraysFile(path=tmp_path / "text.npz").load()
