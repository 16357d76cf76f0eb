"""The source `checkpoints`.

It reads one file, files by number, folders by number, oracles by forget set, and masks beside them.
"""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from model_folders import KEYS, network, save_state

from pipeline.core.errors import ConfigError, DataError
from pipeline.data.datasets.planted import Planted
from pipeline.data.examples import Examples
from pipeline.sources.checkpoints import CheckpointFiles


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Planted(n_train=40, n_validation=12).load()


def source(tmp_path: Path, **settings: object) -> CheckpointFiles:
    return CheckpointFiles(folder=tmp_path, keys=KEYS, **settings)


@pytest.mark.parametrize(
    ("files", "names", "n_models"),
    [
        ("{id}.pt", ("2.pt", "0.pt", "10.pt", "notes.pt"), 3),
        ("run/{id}/weights.pt", ("run/0/weights.pt", "run/7/weights.pt"), 2),
        ("final.pt", ("final.pt", "0.pt"), 1),
    ],
)
def test_files_are_found_by_their_numbers(
    tmp_path: Path, examples: Examples, files: str, names: tuple[str, ...], n_models: int
) -> None:
    for seed, name in enumerate(names):
        save_state(tmp_path / name, network(examples, seed).state_dict())
    found = source(tmp_path, files=files)
    found.check(examples)
    states = found.read_states(0, n_models, network(examples, 99))
    assert (found.n_models(), len(states["1.bias"]), len(set(found.digests(0, n_models)))) == (
        n_models,
        n_models,
        n_models,
    )


def test_models_are_in_the_order_of_their_numbers(tmp_path: Path, examples: Examples) -> None:
    for number in (10, 9, 1):
        save_state(tmp_path / f"{number}.pt", network(examples, number).state_dict())
    states = source(tmp_path).read_states(0, 3, network(examples, 99))
    assert all(
        torch.equal(states["1.bias"][row], network(examples, number).state_dict()["1.bias"])
        for row, number in enumerate((1, 9, 10))
    )


def test_safetensors_are_read_too(tmp_path: Path, examples: Examples) -> None:
    safetensors.torch.save_file(network(examples, 1).state_dict(), tmp_path / "model.safetensors")
    found = CheckpointFiles(folder=tmp_path, files="model.safetensors")
    assert torch.equal(
        found.read_states(0, 1, network(examples, 9))["3.bias"][0],
        network(examples, 1).state_dict()["3.bias"],
    )


def test_oracles_are_named_by_their_forget_set(tmp_path: Path, examples: Examples) -> None:
    save_state(tmp_path / "without_17/0.pt", network(examples, 1).state_dict())
    found = source(tmp_path, files="without_{forget_set}/{id}.pt", forget_sets={"request": 17})
    assert found.of_forget_set("request").n_models() == 1
    with pytest.raises(ConfigError, match=r"which files are the oracles of 'other'.*it has: request"):
        found.of_forget_set("other")
    with pytest.raises(ConfigError, match="only oracles belong to one"):
        found.n_models()


def test_masks_are_rows_by_number(tmp_path: Path, examples: Examples) -> None:
    masks = np.random.default_rng(0).integers(0, 2, (4, 40), np.uint8)
    np.save(tmp_path / "masks.npy", masks)
    for number in (3, 1):
        save_state(tmp_path / f"{number}.pt", network(examples, number).state_dict())
    found = source(tmp_path, masks="masks.npy")
    found.check(examples)
    assert np.array_equal(found.read_masks(0, 2), masks[[1, 3]] == 1)
    save_state(tmp_path / "4.pt", network(examples, 4).state_dict())
    with pytest.raises(DataError, match="has 4 rows, but model 4 has none"):
        source(tmp_path, masks="masks.npy").check(examples)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("{id}.pt", "contains no checkpoints named '{id}.pt'"),
        ("a/{id}_{id}.pt", "names 2 places for {id}; expected one"),
        ("a.pt", "no checkpoints named 'a.pt'"),
    ],
)
def test_files_that_are_not_there_are_said_so(tmp_path: Path, files: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        source(tmp_path, files=files).n_models()


def test_two_files_of_one_number_are_refused(tmp_path: Path, examples: Examples) -> None:
    for name in ("7.pt", "07.pt"):
        save_state(tmp_path / name, network(examples, 0).state_dict())
    with pytest.raises(DataError, match="both belong to model 7; leave one of them"):
        source(tmp_path).n_models()
