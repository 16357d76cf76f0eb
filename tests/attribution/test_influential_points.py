"""The points that help or hurt an output, for any datamodel.

They are the negated effects of single points, and they find the points that are really behind an output.
"""

import numpy as np
import pytest
from blocks import block_of
from planted_truth import planted_weights

from pipeline.attribution.datamodel import Effect
from pipeline.attribution.estimator import Estimator
from pipeline.attribution.evidence import Evidence
from pipeline.attribution.influential_points import influences
from pipeline.attribution.linear.dual import DualDatamodel
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import DataError
from pipeline.data.dataset import LabelNoise
from pipeline.data.datasets.planted import Planted
from pipeline.data.masks import subset_mask
from pipeline.data.nested_groups import Lines, draw_lines

N_TRAIN = 30


def lines_of(n_train: int) -> Lines:
    rng = np.random.default_rng(3)
    return draw_lines(
        rng.normal(size=(n_train, 4)), np.arange(n_train) % 3, rng.uniform(size=n_train), caps_per_class=5
    )


def fitted(estimator: Estimator, masks: np.ndarray, outputs: np.ndarray) -> DualDatamodel:
    evidence = Evidence(masks=masks, lines=lines_of(masks.shape[1]))
    factor = estimator.factor(evidence)
    return estimator.datamodel(
        factor, estimator.fit(factor, evidence, block_of(outputs)), evidence, block_of(outputs)
    )


def problem(n_models: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    masks = np.stack([subset_mask(N_TRAIN, 0.7, model) for model in range(n_models)])
    return masks, masks @ rng.normal(size=(N_TRAIN, 3)) + 0.3 * rng.normal(size=(n_models, 3))


@pytest.mark.parametrize("estimator", [Ridge(), GroupKernel()], ids=lambda estimator: estimator.name)
def test_influences_are_the_effects_of_removing_single_points_negated(estimator):
    datamodel = fitted(estimator, *problem())
    found = influences(datamodel, top=N_TRAIN, outputs=[1])[0]
    assert {one.id for one in (*found.helpful, *found.harmful)} == set(range(N_TRAIN))
    for one in (*found.helpful, *found.harmful):
        effect = datamodel.effect_of_removing(np.array([one.id]))
        assert one.weight == pytest.approx(-effect.mean[1], rel=1e-4, abs=1e-6)
        assert one.standard_error == pytest.approx(effect.standard_error[1], rel=1e-4)


def test_the_strongest_come_first_and_no_sign_is_mixed():
    found = influences(fitted(Ridge(), *problem()), top=4)[0]
    helpful, harmful = [one.weight for one in found.helpful], [one.weight for one in found.harmful]
    assert helpful == sorted(helpful, reverse=True)
    assert harmful == sorted(harmful)
    assert (len(helpful), len(harmful)) == (4, 4)
    assert min(helpful) > 0 > max(harmful)


@pytest.mark.parametrize("sets", [[[4]], [[0, 7, 9], [3]], [list(range(1, N_TRAIN))]])
def test_a_kernel_knows_what_removing_changes_as_it_knows_subsets(sets):
    masks, _ = problem()
    kernel = GroupKernel().kernel(Evidence(masks=masks, lines=lines_of(N_TRAIN)))
    changed, prior = kernel.removing([np.array(indices) for indices in sets])
    for indices, row, own in zip(sets, changed, prior, strict=True):
        without = np.ones((1, N_TRAIN), bool)
        without[0, indices] = False
        assert row == pytest.approx(
            kernel.between(without)[0] - kernel.between(np.ones((1, N_TRAIN), bool))[0], abs=2e-5
        )
        assert own > 0


def test_single_points_are_the_same_some_at_a_time(monkeypatch):
    datamodel = fitted(GroupKernel(), *problem())
    means, errors = datamodel.effects_of_each()
    weights = datamodel.weights()
    monkeypatch.setattr("pipeline.attribution.linear.dual.SINGLES", 7)
    for whole, parts in zip((means, errors), datamodel.effects_of_each(), strict=True):
        assert parts == pytest.approx(whole, abs=1e-9)
    assert datamodel.weights() == pytest.approx(weights, abs=1e-9)


class WeightsOnly:
    """A datamodel that knows its weights, and the standard error of all but the last."""

    def predict(self, masks):
        raise NotImplementedError

    def effect_of_removing(self, indices):
        return Effect(
            -self.weights()[indices].sum(axis=0), np.array([0.5]) if indices[0] < 3 else np.zeros(1)
        )

    def weights(self):
        return np.array([[0.0], [2.0], [-1.0], [1.0]])


def test_any_datamodel_has_influences_and_unknown_errors_are_said_to_be_unknown():
    found = influences(WeightsOnly(), top=4)[0]
    assert [(one.id, one.weight, one.standard_error) for one in found.helpful] == [
        (1, 2.0, 0.5),
        (3, 1.0, None),
    ]
    assert [(one.id, one.weight, one.standard_error) for one in found.harmful] == [(2, -1.0, 0.5)]


@pytest.mark.parametrize("top", [0, 5])
def test_more_points_than_there_are_is_refused(top):
    with pytest.raises(DataError, match=f"the top {top} of 4 training points were requested; choose 1 to 4"):
        influences(WeightsOnly(), top=top)


def test_the_points_behind_an_output_are_found_and_flipped_labels_hurt():
    examples = Planted(n_train=60, n_groups=12, label_noise=LabelNoise(n_points=6)).load()
    masks = np.stack([subset_mask(60, 0.7, model) for model in range(400)])
    weights = planted_weights(examples, learning_rate=1.0, n_kept=42)
    groups = np.asarray(examples.inputs).argmax(axis=1)
    targets = np.setdiff1d(np.arange(60), examples.mislabelled)[::6]
    outputs = masks @ weights[:, targets, examples.labels[targets]]
    for target, found in zip(
        targets, influences(fitted(Ridge(), masks, outputs), top=6, outputs=range(len(targets))), strict=True
    ):
        mates = np.flatnonzero(
            (groups[:60] == groups[target]) & (examples.labels[:60] == examples.labels[target])
        )
        flipped = np.flatnonzero(
            (groups[:60] == groups[target]) & (examples.labels[:60] != examples.labels[target])
        )
        assert {one.id for one in found.helpful[: len(mates)]} == set(mates)
        assert {one.id for one in found.harmful[: len(flipped)]} == set(flipped)
    assert np.isin(groups[examples.mislabelled], groups[targets]).any()
