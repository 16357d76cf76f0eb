"""The score of datamodels, its parts and its growth with the models, against direct computations."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, run_serially

from jobs.session import Session
from pipeline.attribution.evidence import Block, Evidence, without_seed_effects
from pipeline.attribution.lds import explained, lds
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import ConfigError
from pipeline.data.masks import unpack
from pipeline.graph.logits_layout import read_stored_margins
from pipeline.graph.nodes.lds_curve import SHARES, CurveNode, _first
from pipeline.graph.reading.attribution_shown import curve_content

Open = Callable[..., Session]
FEW = {role: {"n_models": 2} for role in ("scout", "full", "oracle", "floor")}
SCORED = {
    "forget_sets": {"some": TINY["forget_sets"]["some"]},
    "unlearners": {"direct": "dm_direct"},
    "populations": {**TINY["populations"], **FEW},
    "judges": {"klom": {"n_resamples": 20}},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store in which all tests of this file find the models that the first of them trains."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def scored(open_tiny: Open, models: Path) -> Callable[..., Session]:
    """Compute the tiny experiment up to its score."""

    def compute(*overrides: str) -> Session:
        session = open_tiny(*overrides, store=models, **SCORED)
        assert not run_serially(session, until="score").failures
        return session

    return compute


def table(session: Session, key: str) -> dict[str, np.ndarray]:
    return session.store.read(session.graph.survey(session.store)[key].table)


def summary(session: Session) -> dict:
    return session.store.summary(session.graph.survey(session.store)["score"].table)


def margins_of(session: Session, key: str) -> np.ndarray:
    return read_stored_margins(
        session.store,
        session.graph.survey(session.store)[key].table,
        session.experiment.store.layout,
        session.examples.labels,
    )


def masks_of(session: Session, key: str) -> np.ndarray:
    return unpack(table(session, key)["mask"], 60)


def predicted(session: Session, members: list[np.ndarray]) -> np.ndarray:
    """Return margins of held-out models, predicted by ridge fitted to these members of both populations."""
    keys = ("train/subset", "train/designed")
    masks, margins, seeds = (
        np.concatenate([of(session, key)[chosen] for key, chosen in zip(keys, members, strict=True)])
        for of in (masks_of, margins_of, lambda session, key: table(session, key)["seed"])
    )
    outputs = without_seed_effects(margins, seeds, np.repeat([0, 1], [len(chosen) for chosen in members]))
    evidence, block = Evidence(masks=masks), Block(points=np.arange(80), outputs=outputs, per_point=1)
    factor = Ridge().factor(evidence)
    return (
        Ridge()
        .datamodel(factor, Ridge().fit(factor, evidence, block), evidence, block)
        .predict(masks_of(session, "train/heldout"))
    )


def test_the_score_and_its_parts_are_those_of_a_fit_by_hand(scored: Callable[..., Session]) -> None:
    session = scored("estimator=ridge")
    found, actual = predicted(session, [np.arange(20), np.arange(10)]), margins_of(session, "train/heldout")
    expected, r2 = lds(predicted=found, actual=actual), explained(found, actual)
    told = summary(session)
    assert (told["lds"], told["n_heldout"]) == (pytest.approx(expected.mean, abs=1e-6), 6)
    assert told["lds_interval"] == pytest.approx(expected.interval, abs=1e-6)
    assert table(session, "score")["heldout_r2"] == pytest.approx(r2, abs=1e-4)
    assert told["r2_heldout"] == pytest.approx(r2.mean(), abs=1e-4)
    assert told["r2_heldout_by_block"] == pytest.approx(
        [r2[:30].mean(), r2[30:60].mean(), r2[60:].mean()], abs=1e-4
    )


def test_the_curve_has_a_row_for_each_share_fitted_to_the_first_models_of_each_population(
    scored: Callable[..., Session],
) -> None:
    session = scored("estimator=ridge")
    curve, actual = table(session, "curve"), margins_of(session, "train/heldout")
    assert SHARES == (1 / 8, 1 / 4, 1 / 2, 1)
    assert curve["n_models"].tolist() == [3 + 3, 5 + 3, 10 + 5, 20 + 10]
    for row, counts in enumerate([(3, 3), (5, 3), (10, 5), (20, 10)]):
        expected = lds(predicted=predicted(session, [np.arange(count) for count in counts]), actual=actual)
        assert [curve[name][row] for name in ("lds", "low", "high")] == pytest.approx(
            [expected.mean, *expected.interval], abs=1e-4
        )


@pytest.mark.parametrize("estimator", ["kernel", "ridge"])
def test_the_curve_ends_at_the_score(scored: Callable[..., Session], estimator: str) -> None:
    session = scored(f"estimator={estimator}")
    curve, told = table(session, "curve"), summary(session)
    assert curve["lds"][-1] == pytest.approx(told["lds"])
    assert [curve["low"][-1], curve["high"][-1]] == pytest.approx(told["lds_interval"])
    assert (curve["low"] <= curve["lds"]).all()
    assert (curve["lds"] <= curve["high"]).all()


def test_of_many_blocks_a_few_are_scored_first_and_last_among_them(
    scored: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.graph.nodes.lds_curve.MOST_BLOCKS", 2)
    session = scored("estimator.name=kernel", "estimator.balls=0.3")
    points = [*range(30), *range(60, 80)]
    fit = table(session, "fit")["heldout_margins"].T
    expected = lds(predicted=fit[:, points], actual=margins_of(session, "train/heldout")[:, points])
    assert table(session, "curve")["lds"][-1] == pytest.approx(expected.mean)
    assert expected.mean != pytest.approx(summary(session)["lds"])


def test_at_least_three_models_of_each_population_are_taken_and_never_more_than_there_are() -> None:
    assert _first([16, 8], 1 / 8).tolist() == [0, 1, 2, 16, 17, 18]
    assert _first([3, 40], 1 / 4).tolist() == [0, 1, 2, *range(3, 13)]
    assert _first([5, 4], 1.0).tolist() == list(range(9))


def test_an_estimator_that_cannot_learn_from_the_first_share_is_refused_before_any_model_is_trained(
    open_tiny: Open,
) -> None:
    settings = ("estimator.name=lasso", "estimator.heldout_share=0.95")
    with pytest.raises(ConfigError, match=r"^estimator: heldout_share 0.95 leaves 0 of 6 models to fit"):
        open_tiny(*settings)
    open_tiny(*settings, "populations.heldout=null")


def test_of_shares_that_are_the_same_models_one_is_shown() -> None:
    columns = {
        "n_models": [6.0, 6.0, 9.0, 12.0],
        "lds": [0.1, 0.1, 0.2, 0.3],
        "low": [0.0] * 4,
        "high": [1.0] * 4,
    }
    shown = curve_content({name: np.array(values) for name, values in columns.items()})
    assert (shown.n_models, shown.lds, len(shown.intervals)) == ((6, 9, 12), (0.1, 0.2, 0.3), 3)


def test_there_is_a_curve_exactly_where_there_is_something_to_score(open_tiny: Open) -> None:
    assert isinstance(open_tiny().graph.nodes["curve"], CurveNode)
    assert not {"curve", "score"} & set(open_tiny("populations.heldout=null").graph.nodes)
    assert not {"curve", "fit", "groups", "train/scout"} & set(
        open_tiny(unlearners={"nothing": "no_op"}).graph.nodes
    )


def test_without_designed_subsets_ridge_needs_no_scouts(open_tiny: Open) -> None:
    without = set(open_tiny("estimator=ridge", "populations.designed=null").graph.nodes)
    assert not {"groups", "train/scout", "train/designed"} & without
    assert {"groups", "train/scout"} <= set(open_tiny("populations.designed=null").graph.nodes)
    assert {"groups", "train/scout"} <= set(open_tiny("estimator=ridge").graph.nodes)
