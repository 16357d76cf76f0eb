"""A streamed data set gives the same bits as a resident one, stacked and looped.

The tests cover training, evaluation and unlearning.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from image_folder import make_images, names_of

from pipeline.core.errors import DataError
from pipeline.core.resources import Grant
from pipeline.data.examples import Examples
from pipeline.data.image_files import ImageFiles
from pipeline.data.inputs import ArrayInputs, Inputs
from pipeline.data.mapped_inputs import MappedInputs
from pipeline.data.scaling import Scaling
from pipeline.models.cnn import Cnn
from pipeline.training import feed_choice, sizing
from pipeline.training.ensemble import Builder, Kind, compute_logits
from pipeline.training.features import last_features
from pipeline.training.feed_choice import choose_feed
from pipeline.training.feeds import Feed, Resident, Streamed, open_feed
from pipeline.training.populations import train_members
from pipeline.training.recipe.recipe import Recipe
from pipeline.unlearning import UNLEARNERS
from pipeline.unlearning.unlearner import Request

N, N_TRAIN, N_CLASSES = 40, 30, 3
SEEDS = [4, 5, 6]
SCALING = Scaling(divide_by=255, mean=(0.5,), std=(0.3, 0.2, 0.2))


@pytest.fixture(params=["array", "mapped", "files", "float16"])
def examples(request: pytest.FixtureRequest, tmp_path: Path) -> Examples:
    """Return the same images as one kind of inputs."""
    images = make_images(tmp_path / "images", N)
    np.save(tmp_path / "images.npy", images)
    inputs: dict[str, Inputs] = {
        "array": ArrayInputs(images),
        "mapped": MappedInputs([tmp_path / "images.npy"]),
        "files": ImageFiles(tmp_path / "images", names_of(tmp_path / "images")),
        "float16": ArrayInputs(images.astype(np.float16)),
    }
    return Examples(
        inputs=inputs[request.param],
        labels=np.arange(N) % 3,
        n_train=N_TRAIN,
        n_classes=N_CLASSES,
        scaling=SCALING,
    )


def outputs_of(feed: Feed, kind: Kind) -> list[np.ndarray]:
    """Return the logits of models that were trained, and of models that then unlearned, on a feed."""
    build = Builder(Cnn(width=2), (3, 6, 6), N_CLASSES)
    masks = np.stack(
        [np.isin(np.arange(N_TRAIN), np.random.default_rng(seed).permutation(N_TRAIN)[:20]) for seed in SEEDS]
    )
    states = train_members(build, Recipe(epochs=2, batch_size=7), feed, masks=masks, seeds=SEEDS, kind=kind)
    logits = compute_logits(build(), states, feed, kind=kind)
    about = {
        "template": build(),
        "states": states,
        "logits": logits,
        "data": feed,
        "seeds": SEEDS,
        "kind": kind,
    }
    request = Request(
        **about, forget=np.arange(4), retain=np.arange(4, N_TRAIN), effect=np.ones((N, N_CLASSES))
    )
    answers = [
        UNLEARNERS.build({"name": name, "epochs": 2, "batch_size": 5}).unlearn(request)
        for name in ("dmm", "finetune")
    ]
    features, _ = last_features(build(), states, feed, range(N_TRAIN))
    return [logits, features, *(answer.logits for answer in answers)]


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_streamed_equals_resident_bit_for_bit(
    examples: Examples, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "EVALUATION_BATCH", 16)
    resident = outputs_of(Resident.place(examples), kind)
    for threads, room in ((1, 1), (2, 2**20)):
        streamed = outputs_of(Streamed(examples, threads=threads, room=room), kind)
        assert all(np.array_equal(one, other) for one, other in zip(resident, streamed, strict=True))


def test_the_device_holds_the_numbers_as_they_are(examples: Examples) -> None:
    feed = Resident.place(examples)
    assert str(feed.inputs.dtype) == f"torch.{examples.inputs.dtype}"
    seen = feed.inputs_of(torch.tensor([[3, 1], [0, 3]]))
    assert (seen.dtype, seen.shape) == (torch.float32, (2, 2, 3, 6, 6))
    assert np.abs(seen[0].numpy() - examples.inputs_of(np.array([3, 1]))).max() < 1e-5


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int64", "float64", ">f4", ">i2", "bool", "int8"])
def test_numbers_of_any_type_are_fed(dtype: str) -> None:
    inputs = (np.arange(24).reshape(8, 3) % 2).astype(dtype)
    examples = Examples(inputs=inputs, labels=np.arange(8) % 2, n_train=6, n_classes=2)
    for feed in (Resident.place(examples), Streamed(examples)):
        assert np.array_equal(feed.inputs_of(torch.tensor([5, 2])).numpy(), inputs[[5, 2]].astype(np.float32))


def test_what_was_expected_and_what_was_not_are_the_same(examples: Examples) -> None:
    feed = Streamed(examples)
    batches = list(torch.arange(12).split(4))
    feed.expect(batches)
    asked = [batches[0], torch.tensor([7, 7, 0]), batches[2], batches[1], batches[0]]
    found = [feed.inputs_of(ids) for ids in asked]
    assert all(
        torch.equal(seen, Resident.place(examples).inputs_of(ids))
        for seen, ids in zip(found, asked, strict=True)
    )


def test_a_file_that_is_lost_while_batches_are_read_ahead_is_named(tmp_path: Path) -> None:
    make_images(tmp_path, N)
    inputs = ImageFiles(tmp_path, names_of(tmp_path))
    feed = Streamed(Examples(inputs=inputs, labels=np.arange(N) % 3, n_train=N_TRAIN, n_classes=N_CLASSES))
    (tmp_path / "0-000009.png").unlink()
    with pytest.raises(DataError, match=r"0-000009.png cannot be read"):
        list(feed.batches(range(N), 4))


def test_inputs_are_resident_where_they_fit_the_memory_granted(examples: Examples) -> None:
    size = int(np.prod(examples.inputs.shape)) * examples.inputs.dtype.itemsize
    kinds = [
        choose_feed(examples.inputs, "cpu", Grant(memory_bytes=2 * size + extra)).kind for extra in (0, -2)
    ]
    assert kinds == ["resident", "streamed"]
    feed, choice = open_feed(examples, grant=Grant(memory_bytes=size))
    assert (feed.kind, choice.kind) == ("streamed", "streamed")
    assert "of inputs" in choice.reason


def test_without_a_grant_a_task_has_its_part_of_the_machine(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_choice, "available_memory", lambda: 80_000)
    monkeypatch.setattr(feed_choice, "n_cpus", lambda: 4)
    inputs = ArrayInputs(np.zeros((100, 150), np.uint8))
    assert [choose_feed(inputs, "cpu", Grant(num_cpus=n)).kind for n in (1, 2, 4)] == [
        "streamed",
        "resident",
        "resident",
    ]


def test_what_fits_the_host_and_not_the_gpu_is_held_by_the_host(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_choice, "_device_memory", lambda *_: 10)
    choice = choose_feed(examples.inputs, "cuda:0", Grant(memory_bytes=2**30))
    assert (choice.kind, choice.is_held_in_memory) == (
        "streamed",
        not isinstance(examples.inputs, ArrayInputs),
    )
    assert "GPU cuda:0" in choice.reason


def test_image_files_that_fit_are_decoded_once_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_images(tmp_path, N)
    examples = Examples(
        inputs=ImageFiles(tmp_path, names_of(tmp_path)),
        labels=np.arange(N) % 3,
        n_train=N_TRAIN,
        n_classes=N_CLASSES,
    )
    assert open_feed(examples)[0].kind == "resident"
    monkeypatch.setattr(ImageFiles, "take", None)
    feed, choice = open_feed(examples)
    assert (feed.kind, choice.kind) == ("resident", "resident")
    assert np.array_equal(feed.inputs_of(torch.arange(N)).numpy(), images)
    assert open_feed(examples, grant=Grant(memory_bytes=10))[0].kind == "streamed"
