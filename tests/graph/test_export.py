"""Exported datamodels read back under every suffix that can be written.

Any other suffix is refused before anything is written.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.attribution.matrix import AttributionFile
from pipeline.attribution.matrix_file import open_matrix
from pipeline.core.errors import ConfigError, DataError
from pipeline.graph.exports.matrix import BARE, write_matrix

pytestmark = pytest.mark.usefixtures("unannotated")

SHAPE = (7, 5, 3)
WEIGHTS = np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)
WORK = SimpleNamespace(examples=SimpleNamespace(n_train=7, n_points=5, n_classes=3))


def node(weights=WEIGHTS):
    """Return what stands for a node with datamodels of two blocks, of 4 points and of 1."""

    def datamodels(work):
        for points in (slice(0, 4), slice(4, 5)):
            yield (
                points,
                SimpleNamespace(
                    weights=lambda points=points: weights[:, points].reshape(7, -1).astype(np.float32)
                ),
            )

    return SimpleNamespace(datamodels=datamodels)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("suffix", [".npy", ".NPY", ".parquet", ".Parquet", *BARE])
def test_an_exported_matrix_comes_back_under_its_suffix(tmp_path, suffix, dtype):
    path = tmp_path / f"weights{suffix}"
    if suffix in (".f16", ".f32") and suffix[-2:] != dtype[-2:]:
        with pytest.raises(ConfigError, match=f"is {suffix}, but dtype is {dtype}"):
            write_matrix(path, node(), WORK, dtype=dtype)
        return
    assert write_matrix(path, node(), WORK, dtype=dtype).path == path
    found = open_matrix(path, AttributionFile(path=path).format, dtype, 7).columns(np.arange(15))
    assert np.array_equal(found, WEIGHTS.reshape(7, 15).astype(dtype))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "suffix", [".npz", ".csv", ".pt", ".safetensors", ".txt", ".pq", ".npy.gz", ".h5", ".mat"]
)
def test_a_suffix_of_another_form_is_refused_before_anything_is_written(tmp_path, suffix):
    with pytest.raises(ConfigError, match=r"expected \.npy, \.parquet, or for bare numbers one of \.bin"):
        write_matrix(tmp_path / f"weights{suffix}", node(), WORK, dtype="float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".dat"])
def test_nothing_is_left_of_a_matrix_that_could_not_be_written(tmp_path, suffix):
    with pytest.raises(DataError, match="beyond float16; use float32"):
        write_matrix(
            tmp_path / f"weights{suffix}", node(WEIGHTS.astype(np.float32) * 1e5), WORK, dtype="float16"
        )
    assert not list(tmp_path.iterdir())


def test_a_parquet_file_is_written_some_rows_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.store.parquet.MOST_WRITTEN", 70)
    write_matrix(tmp_path / "weights.parquet", node(), WORK, dtype="float16")
    found = open_matrix(tmp_path / "weights.parquet", "parquet", "float16", 7).columns(np.arange(3, 14))
    assert np.array_equal(found, WEIGHTS.reshape(7, 15)[:, 3:14])
