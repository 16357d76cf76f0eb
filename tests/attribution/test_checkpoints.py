"""An experiment whose estimator reads only trained models trains no subset models and ends done.

The plan counts the models that it does train.
"""

import numpy as np
import pytest
from tiny import TINY, all_done, run_serially
from torch import nn

from jobs.session import check
from pipeline.attribution import ESTIMATORS
from pipeline.core.errors import ConfigError
from pipeline.graph.costs import spending_of
from pipeline.models.base import Model
from pipeline.models.mlp import Mlp

NAMES = [estimator.name for estimator in ESTIMATORS.plugins if estimator.needs == {"checkpoints"}]
# Sixteen held-out models and scouts that have learnt something, so that there is something to rank.
CHANGES = {
    "populations": TINY["populations"] | {"heldout": {"n_models": 16}, "scout": {"n_models": 3}},
    "recipe": TINY["recipe"] | {"epochs": 8},
    "forget_sets": {"some": {"name": "random", "n_points": 5}},
    "unlearners": {"direct": "dm_direct"},
}


def test_trak_and_influence_need_checkpoints_alone():
    assert NAMES == ["trak", "influence"]


@pytest.mark.parametrize("name", NAMES)
def test_no_subset_models_are_trained(open_tiny, name):
    session = open_tiny(estimator=name, **CHANGES)
    trained = {key for key, node in session.graph.nodes.items() if key.startswith("train/")}
    assert "train/scout" in trained
    assert not trained & {"train/subset", "train/designed"}
    assert not {"groups", "curve"} & set(session.graph.nodes)
    assert spending_of(session.experiment, session.examples).datamodel == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_run_ends_done_and_ranks_held_out_models(open_tiny, name):
    session = open_tiny(estimator=name, **CHANGES)
    progress = run_serially(session, until="evaluate")
    assert all_done(progress)
    score = session.store.summary(progress.states["score"].table)
    assert score["lds"] > 0.2
    effect = session.store.read(progress.states["effect/some"].table)
    assert np.isfinite(effect["mean"]).all()
    assert (effect["standard_error"] >= 0).all()


class Recurrent(Model):
    """A model whose gradients torch cannot take point by point, and which may end without a linear layer."""

    ends_linear: bool = True

    def build(self, input_shape, n_classes):
        return (
            Gated(input_shape[0], n_classes)
            if self.ends_linear
            else nn.Sequential(
                nn.Flatten(), nn.Unflatten(1, (-1, 1)), nn.Conv1d(input_shape[0], n_classes, 1), nn.Flatten()
            )
        )


class Gated(nn.Module):
    """A GRU that sees one step."""

    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.cell, self.out = nn.GRU(n_inputs, 4, batch_first=True), nn.Linear(4, n_classes)

    def forward(self, inputs):
        return self.out(self.cell(inputs[:, None])[0][:, -1])


@pytest.mark.parametrize(
    ("estimator", "model", "message"),
    [
        (
            {"name": "trak"},
            Recurrent(),
            "^estimator: trak cannot take the gradients of single points of model Recurrent",
        ),
        (
            {"name": "kernel", "guide": {}},
            Recurrent(),
            "^estimator.guide: influence cannot take the gradients",
        ),
        (
            {"name": "combined", "kernel": {"guide": {"layers": "last"}}},
            Recurrent(ends_linear=False),
            "^estimator.kernel.guide: .* no linear layer.*layers.* to 'all'",
        ),
        (
            {"name": "kernel", "guide": {"rows": 10**9}},
            Mlp(width=10**6),
            "^estimator.guide: influence would keep 180 rows .* lower `rows`",
        ),
    ],
)
def test_a_model_that_cannot_be_looked_into_is_refused_before_any_is_trained(
    open_tiny, estimator, model, message
):
    experiment = open_tiny("recipe.ensemble=auto", estimator=estimator).experiment.model_copy(
        update={"model": model}
    )
    with pytest.raises(ConfigError, match=message):
        check(experiment, experiment.dataset.load())


def test_a_guide_that_nobody_asks_is_not_tried(open_tiny):
    experiment = open_tiny(
        "recipe.ensemble=auto", estimator={"name": "kernel", "guide": {}}, unlearners={"nothing": "no_op"}
    ).experiment
    check(experiment.model_copy(update={"model": Recurrent()}), experiment.dataset.load())


def test_other_settings_or_another_model_are_another_answer(open_tiny):
    folders = set()
    for changes in (
        {},
        {"estimator": {"name": "trak", "damping": 0.1}},
        {"model": {"name": "mlp", "width": 9}},
    ):
        session = open_tiny(**{"estimator": "trak", **changes})
        folders.add(session.graph.survey(session.store)["factor"].question)
    assert len(folders) == 3


def test_a_regression_asks_for_no_model(open_tiny):
    session = open_tiny(estimator="ridge")
    assert "scout" not in session.graph.nodes["factor"].parents()
    assert "model" not in session.graph.nodes["factor"].settings()
