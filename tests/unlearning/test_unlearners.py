"""The contract of every unlearner, over the whole table; a new unlearner is tested once it is in it."""

import copy

import numpy as np
import pytest
import torch

from pipeline.core.errors import ConfigError, ShapeError
from pipeline.data.datasets.planted import Planted
from pipeline.models.mlp import Mlp
from pipeline.training.ensemble import Builder, compute_logits, take
from pipeline.training.feeds import Resident
from pipeline.training.populations import train_members
from pipeline.training.recipe.recipe import Recipe
from pipeline.unlearning import UNLEARNERS
from pipeline.unlearning.unlearner import Request

EXAMPLES = Planted(n_train=60, n_validation=20).load()
BUILD = Builder(Mlp(width=16), EXAMPLES.input_shape, EXAMPLES.n_classes)
DATA = Resident.place(EXAMPLES)
FORGET = np.array([1, 5, 8, 20, 33])
RETAIN = np.setdiff1d(np.arange(60), FORGET)
RECIPE = Recipe(epochs=10, batch_size=10, learning_rate=0.1)
SETTINGS = {
    "no_op": {},
    "dm_direct": {},
    "dmm": {"retain_points": 20, "forget_multiplier": 5, "epochs": 6},
    "oracle_matching": {"retain_points": 20, "forget_multiplier": 5, "epochs": 6},
    "gradient_ascent": {"learning_rate": 0.01},
    "finetune": {"learning_rate": 0.01, "batch_size": 16},
}
# Samples each member uses in gradient evaluations, by the formulas of the literature.
SAMPLES = {
    "no_op": 0,
    "dm_direct": 0,
    "dmm": 6 * (5 * len(FORGET) + 20),
    "oracle_matching": 6 * (5 * len(FORGET) + 20),
    "gradient_ascent": 5 * len(FORGET),
    "finetune": 5 * len(RETAIN),
}
every_unlearner = pytest.mark.parametrize("name", UNLEARNERS.names())
those_that_train = pytest.mark.parametrize(
    "name", [plugin.name for plugin in UNLEARNERS.plugins if plugin.moves_weights]
)


def trained(seeds, forget=None):
    mask = np.ones(60, bool)
    mask[forget if forget is not None else []] = False
    return train_members(
        BUILD, RECIPE, DATA, masks=np.stack([mask] * len(seeds)), seeds=seeds, kind="stacked"
    )


@pytest.fixture(scope="module")
def request_of():
    """Return a maker of requests to forget; members and seeds may be chosen."""
    states = trained([0, 1, 2])
    logits = compute_logits(BUILD(), states, DATA.inputs, kind="stacked")
    oracle = compute_logits(BUILD(), trained([10, 11, 12], FORGET), DATA.inputs, kind="stacked")

    def make(start=0, stop=3, seeds=(7, 8, 9), **changes):
        given = {
            "template": BUILD(),
            "states": take(states, start, stop),
            "logits": logits[start:stop].copy(),
            "data": DATA,
            "forget": FORGET,
            "retain": RETAIN,
            "seeds": list(seeds[start:stop]),
            "kind": "stacked",
            "effect": (oracle - logits).mean(axis=0),
            "oracle_logits": oracle[start:stop],
        }
        return Request(**{**given, **changes})

    return make


def unlearner(name, **settings):
    return UNLEARNERS.build({"name": name, **SETTINGS[name], **settings})


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def loss(logits, ids):
    return float(
        torch.nn.functional.cross_entropy(
            torch.from_numpy(logits[:, ids].reshape(-1, 3)), DATA.labels[ids].repeat(len(logits))
        )
    )


@every_unlearner
def test_weights_move_if_and_only_if_the_unlearner_says_so(request_of, name):
    """The trap of an optimiser built on the teacher: the student would never move."""
    asked = request_of()
    answer = unlearner(name).unlearn(asked)
    for member in range(3):
        assert equal(take(answer.states, member, member + 1), take(asked.states, member, member + 1)) == (
            not unlearner(name).moves_weights
        )


@every_unlearner
def test_the_callers_models_and_data_are_left_alone(request_of, name):
    asked = request_of()
    states, logits, inputs, template = (
        copy.deepcopy(asked.states),
        asked.logits.copy(),
        DATA.inputs.clone(),
        copy.deepcopy(asked.template.state_dict()),
    )
    unlearner(name).unlearn(asked)
    assert equal(asked.states, states)
    assert np.array_equal(asked.logits, logits)
    assert torch.equal(DATA.inputs, inputs)
    assert equal(asked.template.state_dict(), template)


@every_unlearner
def test_the_answer_follows_from_the_seeds_and_not_from_the_company(request_of, name):
    whole, again, alone = (
        unlearner(name).unlearn(asked) for asked in (request_of(), request_of(), request_of(1, 2))
    )
    assert np.array_equal(whole.logits, again.logits)
    assert np.array_equal(whole.logits[1:2], alone.logits)
    assert equal(take(whole.states, 1, 2), alone.states)


@pytest.mark.parametrize("name", ["dmm", "oracle_matching", "finetune"])
def test_other_seeds_visit_points_in_another_order(request_of, name):
    one, other = (unlearner(name).unlearn(request_of(seeds=seeds)) for seeds in ((7, 8, 9), (17, 18, 19)))
    assert not np.array_equal(one.logits, other.logits)


@every_unlearner
def test_shapes_are_kept_and_all_is_finite(request_of, name):
    asked = request_of()
    answer = unlearner(name).unlearn(asked)
    assert {key: (value.shape, value.dtype) for key, value in answer.states.items()} == {
        key: (value.shape, value.dtype) for key, value in asked.states.items()
    }
    assert (answer.logits.shape, answer.logits.dtype) == (asked.logits.shape, np.float32)
    assert np.isfinite(answer.logits).all()


@those_that_train
def test_logits_are_those_of_the_weights_that_come_back(request_of, name):
    answer = unlearner(name).unlearn(request_of())
    assert np.array_equal(answer.logits, compute_logits(BUILD(), answer.states, DATA.inputs, kind="stacked"))


@every_unlearner
def test_samples_are_counted_as_the_literature_does(request_of, name):
    assert unlearner(name).unlearn(request_of()).n_samples == SAMPLES[name]


@those_that_train
def test_looped_members_end_where_stacked_ones_do(request_of, name):
    stacked, looped = (unlearner(name).unlearn(request_of(kind=kind)) for kind in ("stacked", "looped"))
    assert np.abs(stacked.logits - looped.logits).max() < 1e-3


@pytest.mark.parametrize(
    ("missing", "names"), [("effect", {"dmm", "dm_direct"}), ("oracle_logits", {"oracle_matching"})]
)
def test_what_an_unlearner_needs_is_asked_for_by_name(request_of, missing, names):
    for name in names:
        with pytest.raises(ConfigError, match=name):
            unlearner(name).unlearn(request_of(**{missing: None}))


def test_what_an_unlearner_does_not_need_is_not_asked_for(request_of):
    for plugin in UNLEARNERS.plugins:
        needed = {"effect": "effect", "oracle_logits": "oracle"}
        spared = {name: None for name, need in needed.items() if need not in plugin.needs}
        unlearner(plugin.name).unlearn(request_of(**spared))


def test_an_empty_forget_set_is_refused(request_of):
    with pytest.raises(ConfigError, match="name at least one training point to forget"):
        request_of(forget=np.zeros(0, np.int64))


def test_a_request_that_does_not_fit_its_models_is_refused(request_of):
    with pytest.raises(ShapeError, match="3 models, 3 rows of logits, 2 seeds"):
        request_of(seeds=[1, 2])


def test_ascent_raises_the_loss_on_the_forget_set_and_finetuning_lowers_it_on_the_rest(request_of):
    asked = request_of()
    assert loss(unlearner("gradient_ascent").unlearn(asked).logits, FORGET) > loss(asked.logits, FORGET)
    assert loss(unlearner("finetune").unlearn(asked).logits, RETAIN) < loss(asked.logits, RETAIN)


@pytest.mark.parametrize("multiplier", [0.5, 1.0])
def test_dm_direct_adds_the_predicted_change_to_each_models_own_logits(request_of, multiplier):
    asked = request_of()
    logits = unlearner("dm_direct", multiplier=multiplier).unlearn(asked).logits
    assert logits == pytest.approx(asked.logits + multiplier * asked.effect, abs=1e-5)


def distance(logits, wanted):
    return float(((logits - wanted)[:, FORGET] ** 2).mean())


def test_dmm_moves_each_model_to_its_own_prediction(request_of):
    asked = request_of()
    wanted = asked.logits + asked.effect
    assert distance(unlearner("dmm", epochs=30).unlearn(asked).logits, wanted) < 0.3 * distance(
        asked.logits, wanted
    )


def test_oracle_matching_gives_each_model_one_oracle_of_its_own(request_of):
    asked = request_of()
    logits = unlearner("oracle_matching", epochs=30).unlearn(asked).logits
    for member in range(3):
        own, others = (
            distance(logits[member : member + 1], asked.oracle_logits[ids])
            for ids in ([member], [i for i in range(3) if i != member])
        )
        assert own < others
    assert distance(logits, asked.oracle_logits) < 0.3 * distance(asked.logits, asked.oracle_logits)


def test_a_retain_sample_larger_than_the_retain_set_takes_all_of_it(request_of):
    assert unlearner("dmm", retain_points=1000, epochs=1).unlearn(request_of()).n_samples == 5 * len(
        FORGET
    ) + len(RETAIN)


@pytest.mark.parametrize(
    "settings",
    [
        {"retain_points": -1},
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"multiplier": -1.0},
        {"forget_multiplier": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        unlearner("dmm", **settings)


@pytest.mark.parametrize("name", ["finetune", "gradient_ascent"])
@pytest.mark.parametrize("settings", [{"flip": True}, {"crop_padding": 1}])
def test_images_are_asked_for_before_compute_where_they_are_augmented(name, settings):
    with pytest.raises(ConfigError, match="is for images"):
        unlearner(name, **settings).check(EXAMPLES)


def test_muon_brings_matching_closer_to_its_teacher_than_adam(request_of):
    asked = request_of()
    muon = {
        "optimizer": "muon",
        "momentum": 0.9,
        "nesterov": True,
        "learning_rate": 0.02,
        "schedule": "linear",
    }
    adam, other = (
        unlearner("oracle_matching", epochs=8, **settings).unlearn(asked) for settings in ({}, muon)
    )
    assert distance(other.logits, asked.oracle_logits) < 0.7 * distance(adam.logits, asked.oracle_logits)
    assert other.n_samples == adam.n_samples
