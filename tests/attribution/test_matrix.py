"""A weight matrix in a user's file.

Every layout gives the same weights, a file that does not fit is refused before compute, and nothing else is
read.
"""

import pickle

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from pipeline.attribution import matrix_file
from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.matrix import AttributionFile
from pipeline.core.errors import DataError
from pipeline.data.datasets.planted import Planted

EXAMPLES = Planted(n_train=30, n_validation=6).load()
N_TRAIN, N_POINTS, N_CLASSES = EXAMPLES.n_train, EXAMPLES.n_points, EXAMPLES.n_classes
WEIGHTS = np.random.default_rng(0).normal(size=(N_TRAIN, N_POINTS, N_CLASSES)).astype(np.float16)

SOME = np.arange(5, 17)


def write_memmap(path, weights):
    weights.tofile(path)
    return AttributionFile(path=path)


def write_npy(path, weights):
    np.save(path.with_suffix(".npy"), weights)
    return AttributionFile(path=path.with_suffix(".npy"))


def write_fixed_lists(path, weights):
    """One column of lists for each ten points, as float32."""
    flat = [
        weights[:, start : start + 10].astype(np.float32).reshape(len(weights), -1)
        for start in range(0, N_POINTS, 10)
    ]
    columns = {
        f"part{number}": pyarrow.FixedSizeListArray.from_arrays(part.ravel(), part.shape[1])
        for number, part in enumerate(flat)
    }
    parquet.write_table(pyarrow.table(columns), path.with_suffix(".parquet"))
    return AttributionFile(path=path.with_suffix(".parquet"))


def write_bytes(path, weights):
    column = pyarrow.array([row.tobytes() for row in weights], pyarrow.binary(weights[0].nbytes))
    parquet.write_table(pyarrow.table({"weights": column}), path.with_suffix(".parquet"))
    return AttributionFile(path=path.with_suffix(".parquet"))


def write_lists(path, weights):
    pandas.DataFrame({"weights": [row.ravel().astype(np.float64) for row in weights]}).to_parquet(
        path.with_suffix(".parquet")
    )
    return AttributionFile(path=path.with_suffix(".parquet"))


def write_plain_columns(path, weights):
    flat = weights.reshape(len(weights), -1).astype(np.float32)
    pandas.DataFrame(flat, columns=[str(number) for number in range(flat.shape[1])]).to_parquet(
        path.with_suffix(".parquet")
    )
    return AttributionFile(path=path.with_suffix(".parquet"))


WRITERS = [write_memmap, write_npy, write_fixed_lists, write_bytes, write_lists, write_plain_columns]


def datamodel_of(estimator, points=SOME, per_point=N_CLASSES):
    outputs = np.random.default_rng(1).normal(size=(4, len(points) * per_point))
    evidence, block = (
        Evidence(masks=np.ones((4, N_TRAIN), bool)),
        Block(points=points, outputs=outputs, per_point=per_point),
    )
    factor = estimator.factor(evidence)
    return estimator.datamodel(factor, estimator.fit(factor, evidence, block), evidence, block), outputs.mean(
        axis=0
    )


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("points", [np.arange(5, 17), np.array([33]), np.array([2, 30, 11])])
def test_every_layout_gives_the_weights_of_the_points_asked_for(tmp_path, write, points):
    estimator = write(tmp_path / "weights", WEIGHTS)
    estimator.check(EXAMPLES)
    assert estimator.outputs(EXAMPLES) == {"logits"}
    ours, everything = datamodel_of(estimator, points)
    expected = WEIGHTS[:, points].reshape(N_TRAIN, -1).astype(np.float64)
    assert ours.weights() == pytest.approx(expected, abs=1e-6)
    mask = np.random.default_rng(2).random((1, N_TRAIN)) < 0.5
    assert ours.predict(mask)[0] == pytest.approx(everything - expected[~mask[0]].sum(axis=0), abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [({"entries": "effects"}, -1), ({"scale": 0.9}, 0.9), ({"entries": "effects", "scale": 2.0}, -2)],
)
def test_entries_may_be_effects_and_may_be_scaled(tmp_path, settings, factor):
    estimator = write_memmap(tmp_path / "weights", WEIGHTS).model_copy(update=settings)
    ours, _ = datamodel_of(estimator)
    ids = np.array([3, 8])
    assert ours.effect_of_removing(ids).mean == pytest.approx(
        -factor * WEIGHTS[ids, 5:17].reshape(2, -1).astype(float).sum(axis=0), abs=1e-9
    )


def test_only_the_rows_and_columns_asked_for_are_read(tmp_path):
    """The mapped weights stay a view of the file."""
    ours, _ = datamodel_of(write_memmap(tmp_path / "weights", WEIGHTS))
    assert isinstance(ours.matrix, np.memmap)
    assert ours.matrix.base is not None
    assert not ours.matrix.flags.owndata


def test_a_matrix_of_margins_is_told_by_its_size(tmp_path):
    estimator = write_memmap(tmp_path / "weights", WEIGHTS[:, :, 0].copy())
    estimator.check(EXAMPLES)
    assert estimator.outputs(EXAMPLES) == {"margins"}
    ours, _ = datamodel_of(estimator, per_point=1)
    assert ours.weights() == pytest.approx(WEIGHTS[:, 5:17, 0].astype(float))


def test_content_is_that_of_the_numbers(tmp_path, monkeypatch):
    estimator = write_memmap(tmp_path / "weights", WEIGHTS)
    before = estimator.content()
    assert before == write_npy(tmp_path / "same", WEIGHTS).content()
    matrix_file._look_at.cache_clear()
    monkeypatch.setattr(matrix_file, "_CHUNK", 100)
    assert estimator.content() == before
    changed = WEIGHTS.copy()
    changed[7, 3, 1] += 1
    assert write_memmap(tmp_path / "weights", changed).content() != before


@pytest.mark.parametrize("write", WRITERS)
def test_a_weight_that_is_not_finite_is_found_with_its_place(tmp_path, write, monkeypatch):
    monkeypatch.setattr(matrix_file, "_CHUNK", 1000)
    matrix_file._look_at.cache_clear()
    broken = WEIGHTS.copy()
    broken[7, 3, 1] = np.nan
    with pytest.raises(DataError, match=f"first: row 7, number {3 * N_CLASSES + 1}"):
        write(tmp_path / "weights", broken).check(EXAMPLES)


@pytest.mark.parametrize("write", WRITERS)
def test_a_matrix_of_other_data_is_refused(tmp_path, write):
    with pytest.raises(DataError, match="30 training points"):
        write(tmp_path / "weights", WEIGHTS[1:]).check(EXAMPLES)


def test_a_matrix_of_other_points_is_refused(tmp_path):
    with pytest.raises(DataError, match=f"expected {N_POINTS * N_CLASSES} .* or {N_POINTS} "):
        write_npy(tmp_path / "weights", WEIGHTS[:, 1:]).check(EXAMPLES)
    with pytest.raises(DataError, match="compare dtype"):
        write_memmap(tmp_path / "weights", WEIGHTS.astype(np.float32)).check(EXAMPLES)


def test_a_missing_file_is_refused(tmp_path):
    for name in ("weights", "weights.npy", "weights.parquet"):
        with pytest.raises(DataError, match="No such file"):
            AttributionFile(path=tmp_path / name).check(EXAMPLES)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weights.npy", np.arange(3), "int64 of shape"),
        ("weights.npy", np.asfortranarray(WEIGHTS), "Fortran order"),
        ("weights.npy", np.array([None, {}]), "Python objects"),
        ("weights.npy", b"\x93NUMPY", "cannot be used as npy"),
        ("weights", b"abc", "3 bytes are not a whole number of float16"),
        ("weights", b"", "0 bytes"),
        ("weights", pickle.dumps([WEIGHTS]), "training points"),
        ("weights.parquet", b"PAR1", "cannot be used as parquet"),
        ("weights.parquet", pandas.DataFrame({"id": np.arange(N_TRAIN)}), "column 'id' holds int64"),
        (
            "weights.parquet",
            pandas.DataFrame({"weights": [np.zeros(3 + row % 2) for row in range(N_TRAIN)]}),
            "expected [0-9]+ ",
        ),
        (
            "weights.parquet",
            pandas.DataFrame({"weights": [None, *[[0.0] * N_POINTS] * (N_TRAIN - 1)]}),
            "lacks a value|expected",
        ),
    ],
)
def test_what_is_no_matrix_is_refused(tmp_path, name, content, said):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, pandas.DataFrame):
        content.to_parquet(path)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(DataError, match=said):
        AttributionFile(path=path).check(EXAMPLES)
