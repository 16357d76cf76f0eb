"""The source `easydub`.

It reads members by number, outputs over all points in the data set's order, and states by a map of keys.
Errors name the wrong file or setting.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import KEYS, THEIRS, Made, network, save_state, write_easydub

from pipeline.core.errors import ConfigError, DataError
from pipeline.data.datasets.planted import Planted
from pipeline.data.examples import Examples
from pipeline.sources.easydub import EasyDub

FORGET = {2: (9, 4, 31), 10: (5, 1)}
LABELS = {"some": 2, "odd": 10}


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Planted(n_train=40, n_validation=12).load()


@pytest.fixture
def made(tmp_path: Path, examples: Examples) -> Made:
    return write_easydub(tmp_path / "dub", examples, FORGET)


def source(tmp_path: Path, **settings: object) -> EasyDub:
    about = {"dataset": "tiny", "model": "small", "epoch": 3, "keys": KEYS, "forget_sets": LABELS}
    return EasyDub(folder=tmp_path / "dub", **about | settings)


def template(examples: Examples) -> torch.nn.Module:
    return network(examples, 999)


def test_pretrained_models_are_read_by_number(tmp_path: Path, examples: Examples, made: Made) -> None:
    found = source(tmp_path)
    assert (found.offers(), found.n_models()) == ({"states", "logits", "margins"}, 4)
    found.check(examples)
    assert np.array_equal(
        found.read_outputs(2, 4), np.stack([made.logits["pretrain"][number] for number in (2, 10)])
    )
    states = found.read_states(1, 4, template(examples))
    assert torch.equal(states["3.bias"][2], made.states["pretrain"][10]["3.bias"])


def test_the_rows_of_oracles_come_back_in_the_order_of_the_data(
    tmp_path: Path, examples: Examples, made: Made
) -> None:
    oracles = source(tmp_path).of_forget_set("some")
    oracles.check(examples)
    assert oracles.forget_ids().tolist() == [9, 4, 31]
    assert np.array_equal(oracles.read_outputs(0, 4), np.stack(list(made.logits["oracle/forget_2"].values())))


def test_margins_stand_in_where_there_are_no_logits(tmp_path: Path, examples: Examples) -> None:
    write_easydub(tmp_path / "dub", examples, FORGET, kinds=("margins",))
    found = source(tmp_path)
    assert (found.offers(), found.has_logits(), found.read_outputs(0, 4).shape) == (
        {"margins"},
        False,
        (4, 52),
    )


def test_members_skipped_are_the_first_by_number(tmp_path: Path, made: Made) -> None:
    found = source(tmp_path, skip=2)
    assert (found.n_models(), found.digests(0, 2)) == (2, source(tmp_path).digests(2, 4))


def test_another_checkpoint_is_another_digest(tmp_path: Path, examples: Examples, made: Made) -> None:
    before = source(tmp_path).digests(0, 4)
    save_state(tmp_path / "dub/models/tiny/pretrain/small/id_2_epoch_3.pt", network(examples, 7).state_dict())
    after = source(tmp_path).digests(0, 4)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False, True]


def test_a_label_without_a_number_is_refused(tmp_path: Path, made: Made) -> None:
    with pytest.raises(ConfigError, match=r"no number for 'wrong' \(it has: some, odd\); give one, such as"):
        source(tmp_path).of_forget_set("wrong")


def test_the_number_of_a_forget_set_counts_and_its_label_does_not(tmp_path: Path, made: Made) -> None:
    other = source(tmp_path, forget_sets={"mine": 2})
    assert other.of_forget_set("mine") == source(tmp_path).of_forget_set("some")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"dataset": "cifar10"},
            "holds no models of pretrained models .*: it has no dataset cifar10; it has: dataset tiny, "
            "model small",
        ),
        ({"epoch": 23}, "epoch 23"),
        (
            {"use": ("states", "logits"), "forget_set": 5},
            "holds no logits and states of oracles of forget set 5",
        ),
    ],
)
def test_a_folder_without_such_models_says_what_it_has(
    tmp_path: Path, made: Made, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        source(tmp_path, **settings).offers()


def test_a_model_that_lacks_one_of_its_files_is_named(tmp_path: Path, made: Made) -> None:
    (tmp_path / "dub/margins/tiny/pretrain/val/small/id_10_epoch_3.npy").unlink()
    with pytest.raises(
        DataError, match=r"model 10 has .* but no margins of val \(there are 4 and 3\).*`use`"
    ):
        source(tmp_path).n_models()
    assert source(tmp_path, use=("states", "logits")).n_models() == 4


def test_outputs_over_other_points_are_refused_with_their_file(
    tmp_path: Path, examples: Examples, made: Made
) -> None:
    with pytest.raises(
        DataError, match=r"retain/small/id_0_epoch_3.npy has shape \(40, 3\); the data set needs \(30, 3\)"
    ):
        source(tmp_path).check(Planted(n_train=30, n_validation=12).load())


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, r"missing: 1.weight \(8, \d+\).*extra: hidden.weight .*map names with `keys"),
        ({"hidden": "1", "head": None}, r"missing: 3.weight \(3, 8\), 3.bias \(3,\)"),
        ({"hidden": "1", "head": "1"}, "gives two tensors the name '1.weight'"),
        (
            {"hidden.weight": "3.weight", "head.weight": "1.weight", "head": "3", "hidden": "1"},
            r"misshapen: 1.weight is \(3, 8\), expected",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, examples: Examples, made: Made, keys: dict[str, str | None], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        source(tmp_path, keys=keys).read_states(0, 1, template(examples))


def test_a_leading_name_can_be_dropped(tmp_path: Path, examples: Examples, made: Made) -> None:
    path = tmp_path / "dub/models/tiny/pretrain/small/id_0_epoch_3.pt"
    state = made.states["pretrain"][0]
    torch.save({f"model.module.{name}": value for name, value in state.items()}, path)
    read = source(tmp_path, keys={"model.module": ""} | KEYS).read_states(0, 1, template(examples))
    assert torch.equal(read["1.weight"][0], state["1.weight"])
    assert set(THEIRS) == set(read)
