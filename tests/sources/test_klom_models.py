"""The source `klom_models`: full models as state dicts, oracles as logits of each model or margins of all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import KEYS, THEIRS, logits_of, network, save_array

from pipeline.core.errors import DataError
from pipeline.data.datasets.planted import Planted
from pipeline.data.examples import Examples
from pipeline.evaluation.margins import margins
from pipeline.sources.klom_models import KlomModels

NUMBERS = (0, 1, 10)


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Planted(n_train=40, n_validation=12).load()


def save_tensor(path: Path, values: np.ndarray | dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(torch.from_numpy(values) if isinstance(values, np.ndarray) else values, path)


def save_margins(root: Path, below: str, logits: np.ndarray, examples: Examples) -> np.ndarray:
    values = margins(logits, examples.labels)
    for split, rows in (("train", slice(0, 40)), ("val", slice(40, None))):
        save_tensor(root / f"{below}/{split}_margins_all.pt", values[:, rows].copy())
    return values


@pytest.fixture
def logits(tmp_path: Path, examples: Examples) -> np.ndarray:
    """Write the folder, and return the logits of its models.

    Full models have states and margins. The oracles of forget set 1 are logits of each model, those of 2
    margins of all.
    """
    models = [network(examples, number) for number in NUMBERS]
    logits = np.stack([logits_of(model, examples) for model in models])
    for number, model, outputs in zip(NUMBERS, models, logits, strict=True):
        state = {THEIRS[name]: value for name, value in model.state_dict().items()}
        save_tensor(tmp_path / f"full_models/CIFAR10/sd_{number}____epoch_23.pt", state)
        for split, rows in (("train", slice(0, 40)), ("val", slice(40, None))):
            save_tensor(
                tmp_path / f"oracle_models/CIFAR10/forget_set_1/{number}__{split}_logits__23.pt",
                outputs[rows].copy(),
            )
    save_margins(tmp_path, "full_models/CIFAR10", logits, examples)
    save_margins(tmp_path, "oracles/CIFAR10/only_margins/forget_set_2", logits, examples)
    for number in (1, 2):
        save_array(tmp_path / f"forget_set_indices/CIFAR10/forget_set_{number}.npy", np.array([8, 3]))
    return logits


def source(tmp_path: Path, **settings: object) -> KlomModels:
    return KlomModels(folder=tmp_path, keys=KEYS, forget_sets={"one": 1, "two": 2}, **settings)


def test_full_models_are_their_states(tmp_path: Path, examples: Examples, logits: np.ndarray) -> None:
    found = source(tmp_path, skip=1)
    found.check(examples)
    assert (found.offers(), found.n_models(), len(set(found.digests(0, 2)))) == ({"states"}, 2, 2)
    states = found.read_states(1, 2, network(examples, 99))
    assert torch.equal(states["3.weight"][0], network(examples, 10).state_dict()["3.weight"])


def test_oracles_are_logits_of_each_or_margins_of_all(
    tmp_path: Path, examples: Examples, logits: np.ndarray
) -> None:
    one, two = source(tmp_path).of_forget_set("one"), source(tmp_path).of_forget_set("two")
    for oracles, expected in ((one, logits), (two, margins(logits, examples.labels))):
        oracles.check(examples)
        assert np.array_equal(oracles.read_outputs(1, 3), expected[1:3])
        assert (oracles.n_models(), oracles.forget_ids().tolist()) == (3, [8, 3])
    assert (one.has_logits(), two.has_logits()) == (True, False)


def test_other_points_are_refused(tmp_path: Path, logits: np.ndarray) -> None:
    for label in ("one", "two"):
        with pytest.raises(DataError, match=r"train outputs of shape \(40.*the data set needs \(30"):
            source(tmp_path).of_forget_set(label).check(Planted(n_train=30, n_validation=12).load())


def test_what_is_not_there_is_said(tmp_path: Path, logits: np.ndarray) -> None:
    with pytest.raises(
        DataError, match=r"no models of KLOM-models for dataset LIVING17, epoch 24 .*margins_all.pt"
    ):
        source(tmp_path, dataset="LIVING17", epoch=24).n_models()


def test_margins_that_are_no_tensor_are_refused(tmp_path: Path, logits: np.ndarray) -> None:
    path = tmp_path / "oracles/CIFAR10/only_margins/forget_set_2/val_margins_all.pt"
    torch.save({"margins": torch.zeros(3, 12)}, path)
    with pytest.raises(
        DataError, match=r"val_margins_all.pt does not contain margins \(n_models, n_points\)"
    ):
        source(tmp_path).of_forget_set("two").read_outputs(0, 1)
