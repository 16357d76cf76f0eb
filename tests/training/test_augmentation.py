"""Augmented images equal those of a loop over pixels, are drawn by point, and are equal stacked or looped."""

import dataclasses

import numpy as np
import pytest
import torch
from test_loop import builder_of, data_for, equal, members_of, training

from pipeline.core.errors import ConfigError
from pipeline.data.datasets.planted import Planted
from pipeline.models.cnn import Cnn
from pipeline.models.mlp import Mlp
from pipeline.training.ensemble import Builder, compute_logits, initial_states, take
from pipeline.training.feeds import Resident
from pipeline.training.loop import run_phases
from pipeline.training.populations import check_model, train_members
from pipeline.training.recipe.augmentation import Augmentation
from pipeline.training.recipe.recipe import Recipe

BOTH = Augmentation(flip=True, crop_padding=2)


def by_hand(image, offset, mirrored, pad):
    """Return one image (channels, height, width) padded, cut at an offset (row, column), and mirrored."""
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    cut = padded[:, offset[0] : offset[0] + image.shape[1], offset[1] : offset[1] + image.shape[2]]
    return cut[:, :, ::-1] if mirrored else cut


def test_every_draw_is_the_cut_that_a_loop_over_images_makes():
    drawn = torch.arange(BOTH.n_choices)[None]
    images = np.random.default_rng(0).normal(size=(1, BOTH.n_choices, 3, 4, 5)).astype(np.float32)
    found = BOTH.apply(torch.from_numpy(images), drawn)[0].numpy()
    for number, image in enumerate(images[0]):
        offset, mirrored = (number % 25 // 5, number % 5), number >= 25
        assert np.array_equal(found[number], by_hand(image, offset, mirrored, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_a_flip_alone_mirrors_and_keeps_the_dtype(dtype):
    images = torch.arange(24).reshape(1, 2, 1, 3, 4).to(dtype)
    found = Augmentation(flip=True).apply(images, torch.tensor([[0, 1]]))
    assert torch.equal(found[0, 0], images[0, 0])
    assert torch.equal(found[0, 1], images[0, 1].flip(-1))
    assert found.dtype == dtype


def test_draws_follow_from_member_phase_epoch_and_point_alone():
    drawn = BOTH.draw([(7, 0), (8, 0), (7, 0), (7, 1)], 3, 500)
    assert np.array_equal(drawn[0], drawn[2])
    assert not any(
        np.array_equal(drawn[0], other) for other in (drawn[1], drawn[3], BOTH.draw([(7, 0)], 4, 500)[0])
    )
    assert np.array_equal(drawn[1:2], BOTH.draw([(8, 0)], 3, 500))
    counts = np.bincount(drawn[0], minlength=BOTH.n_choices)
    assert len(counts) == BOTH.n_choices
    assert counts.min() > 0


@pytest.mark.parametrize(
    "augmentation", [Augmentation(flip=True), Augmentation(crop_padding=1), BOTH], ids=repr
)
def test_stacked_members_equal_looped_ones_and_grouping_moves_no_bit(augmentation):
    build, data, seeds = builder_of(Cnn(width=2)), data_for(Cnn()), [3, 1, 4]
    states, phase = initial_states(build, seeds), dataclasses.replace(training(3), augmentation=augmentation)
    stacked, looped, plain = (
        run_phases(build(), states, [given], data, seeds=seeds, kind=kind)
        for given, kind in ((phase, "stacked"), (phase, "looped"), (training(3), "stacked"))
    )
    assert all(
        torch.allclose(value.float(), looped[name].float(), atol=1e-4) for name, value in stacked.items()
    )
    assert not equal(stacked, plain)
    own = dataclasses.replace(members_of(training(3), [1, 2]), augmentation=augmentation)
    assert equal(
        run_phases(build(), take(states, 1, 3), [own], data, seeds=[1, 4], kind="stacked"),
        take(stacked, 1, 3),
    )


class Recorder(torch.nn.Module):
    """Keeps every image that it sees, by its first pixel.

    Augmentation leaves that pixel where nothing is moved.
    """

    def __init__(self, seen):
        super().__init__()
        self.seen, self.layer = seen, torch.nn.Linear(16, 3)

    def __deepcopy__(self, memo):
        copied = Recorder(self.seen)
        copied.load_state_dict(self.state_dict())
        return copied.train(self.training)

    def forward(self, images):
        self.seen.append(images.detach().clone())
        return self.layer(images.flatten(1))


def seen_by(points, *, batch_size):
    """Return the images that one member of seed 5 sees in an epoch, by point."""
    inputs = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    template, seen = Recorder([]), []
    template.seen = seen
    phase = dataclasses.replace(
        training(1, batch_size=batch_size, epochs=1, n_listed=1, drop_last=False),
        points=np.array([points]),
        n_points=20,
        augmentation=BOTH,
    )
    states = {name: value[None] for name, value in template.state_dict().items()}
    run_phases(
        template,
        states,
        [phase],
        Resident(inputs, torch.zeros(20, dtype=torch.int64)),
        seeds=[5],
        kind="looped",
    )
    order = torch.cat(seen)
    drawn = torch.from_numpy(BOTH.draw([(5, 0)], 0, 20))
    expected = BOTH.apply(inputs[None], drawn)[0]
    return {point for point in points if any(torch.equal(expected[point], image) for image in order)}, len(
        order
    )


def test_members_of_one_seed_see_shared_points_alike_whatever_their_masks_and_batches():
    assert seen_by([2, 5, 9, 11, 17], batch_size=2) == ({2, 5, 9, 11, 17}, 5)
    assert seen_by([5, 8, 9, 17], batch_size=3) == ({5, 8, 9, 17}, 4)


def test_a_recipe_augments_training_and_never_evaluation():
    examples, data = Planted(n_train=40, n_validation=10).load(), data_for(Cnn())
    build, masks = Builder(Cnn(width=2), (1, 6, 6), examples.n_classes), np.ones((2, 40), bool)
    recipe = Recipe(epochs=1, batch_size=10, flip=True, crop_padding=1)
    plain, random = (
        train_members(build, given, data, masks=masks, seeds=[1, 2], kind="stacked")
        for given in (Recipe(epochs=1, batch_size=10), recipe)
    )
    assert not equal(plain, random)
    once, again = (compute_logits(build(), random, data.inputs, kind="stacked") for _ in range(2))
    assert np.array_equal(once, again)


def test_a_crop_that_may_miss_the_image_is_refused_before_compute():
    build, inputs = Builder(Cnn(width=2), (1, 6, 9), 3), np.zeros((2, 1, 6, 9), np.float32)
    check_model(build, Recipe(crop_padding=5), inputs)
    with pytest.raises(
        ConfigError, match=r"recipe\.crop_padding: .*image of 6 by 9 pixels; expected at most 5"
    ):
        check_model(build, Recipe(crop_padding=6), inputs)


@pytest.mark.parametrize("settings", [{"flip": True}, {"crop_padding": 2}])
def test_what_is_no_image_is_refused_before_compute(settings):
    examples = Planted(n_train=40, n_validation=10).load()
    build = Builder(Mlp(width=4), examples.input_shape, examples.n_classes)
    with pytest.raises(ConfigError, match=r"is for images \(channels, height, width\)"):
        check_model(build, Recipe(**settings), np.zeros((2, *examples.input_shape), np.float32))


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_averaging_over_flips_is_the_mean_of_both_images_in_evaluation_alone(kind):
    data = data_for(Cnn())
    plain, averaged = (Builder(Cnn(width=2, flip_average=chosen), (1, 6, 6), 3) for chosen in (False, True))
    masks, recipe = np.ones((2, 40), bool), Recipe(epochs=1, batch_size=10)
    states, same = (
        train_members(build, recipe, data, masks=masks, seeds=[1, 2], kind=kind)
        for build in (plain, averaged)
    )
    assert equal(states, same)
    found = compute_logits(averaged(), states, data, kind=kind)
    one, other = (
        compute_logits(plain(), states, images, kind=kind) for images in (data.inputs, data.inputs.flip(-1))
    )
    assert np.allclose(found, (one + other) / 2, atol=1e-6)
    assert not np.allclose(found, one, atol=1e-4)


def test_averaging_over_flips_of_what_is_no_image_is_refused():
    examples = Planted(n_train=40, n_validation=10).load()
    build = Builder(Mlp(width=4, flip_average=True), examples.input_shape, examples.n_classes)
    with pytest.raises(ConfigError, match=r"model\.flip_average: it is for images"):
        check_model(build, Recipe(), np.zeros((2, *examples.input_shape), np.float32))
