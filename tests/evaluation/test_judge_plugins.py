"""Every judge distinguishes models that differ from those that do not, in any order of models.

No judge takes a broken model for a good one.
"""

import dataclasses

import numpy as np
import pytest

from pipeline.evaluation.accuracy import accuracy
from pipeline.evaluation.judges import JUDGES
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.inputs import ArrayOutputs, JudgeInput
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores, Yardstick, check_scores
from pipeline.evaluation.judges.ulira_judge import UliraJudge
from pipeline.evaluation.klom import klom
from pipeline.evaluation.ulira import ulira

LABELS = np.arange(60) % 3
SPLITS = {"forget": np.arange(8), "retain": np.arange(8, 40), "validation": np.arange(40, 60)}
EVERY = pytest.mark.parametrize(
    "judge", [plugin() for plugin in JUDGES.plugins], ids=lambda judge: judge.name
)


def logits(seed: int, shift: float = 0.0, n_models: int = 40) -> np.ndarray:
    """Return logits of models that are right more often the larger shift is, on forgotten points only."""
    values = np.random.default_rng(seed).normal(size=(n_models, 60, 3)).astype(np.float32)
    forget = SPLITS["forget"]
    values[:, forget, LABELS[forget]] += shift
    return values


def case(unlearned: np.ndarray, oracle: np.ndarray | None = None) -> JudgeInput:
    retrained = logits(1) if oracle is None else oracle
    sides = {"unlearned": ArrayOutputs(unlearned, LABELS), "oracle": ArrayOutputs(retrained, LABELS)}
    return JudgeInput(**sides, labels=LABELS, splits=SPLITS)


def judged(judge: Judge, unlearned: np.ndarray) -> Scores:
    """Return scores beside those of a second group of retrained models, as the pipeline fills them in."""
    return judge.judge(case(unlearned)).with_references(judge.judge(case(logits(2))))


@EVERY
def test_its_scores_are_what_readers_expect(judge: Judge) -> None:
    scores = judged(judge, logits(0))
    check_scores(scores, len(LABELS))
    assert Scores.from_json(scores.to_json()).rows == scores.rows
    assert all(row.reference is not None for row in scores)


@EVERY
def test_what_differs_is_further_from_retraining_than_what_does_not(judge: Judge) -> None:
    alike, apart = judged(judge, logits(0)).rows[0], judged(judge, logits(0, shift=4.0)).rows[0]
    assert judge.yardstick.is_level(alike)
    assert not judge.yardstick.is_level(apart)
    assert apart.excess > alike.excess


@EVERY
def test_the_order_of_models_does_not_matter(judge: Judge) -> None:
    one, other = judged(judge, logits(0, shift=1.0)), judged(judge, logits(0, shift=1.0)[::-1])
    assert [row.value for row in one] == pytest.approx([row.value for row in other])


@EVERY
def test_broken_models_are_counted_and_make_nothing_better(judge: Judge) -> None:
    values = logits(0)
    values[:, SPLITS["forget"]] = np.nan
    whole, broken = judged(judge, logits(0)), judged(judge, values)
    assert broken.counts[NONFINITE] == 40 * 8
    assert broken.rows[0].excess > whole.rows[0].excess


def test_klom_is_the_library_function() -> None:
    unlearned, oracle = case(logits(0)).unlearned.margins(), case(logits(0)).oracle.margins()
    values = klom(unlearned=unlearned, oracle=oracle, n_bins=10).values
    scores = KlomJudge(n_bins=10).judge(case(logits(0)))
    assert scores.of("mean")["retain"].value == pytest.approx(values[SPLITS["retain"]].mean())
    assert np.array_equal(scores.points["klom"], values)


def test_ulira_is_the_library_function_on_the_points_asked_for() -> None:
    found, ids = case(logits(0, shift=1.0)), SPLITS["forget"]
    expected = ulira(unlearned=found.unlearned.margins(ids), unseen=found.oracle.margins(ids))
    scores = UliraJudge().judge(found)
    assert [row.value for row in scores] == [expected.balanced_accuracy, expected.auc, expected.tpr]
    assert {row.split for row in UliraJudge(splits=("forget", "validation")).judge(found)} == {
        "forget",
        "validation",
    }
    assert np.isnan(scores.points["ulira"][8:]).all()


def test_accuracy_stands_beside_that_of_the_oracles() -> None:
    row = JUDGES.build({"name": "accuracy"}).judge(case(logits(0))).of("accuracy")["validation"]
    ids = SPLITS["validation"]
    assert (row.value, row.reference) == pytest.approx(
        tuple(accuracy(logits(seed)[:, ids], LABELS[ids]).mean() for seed in (0, 1))
    )
    assert row.interval is not None
    assert row.interval[0] < row.value < row.interval[1]


SCORE = Score(statistic="s", split="forget", value=3.0, reference=2.0)


@pytest.mark.parametrize(
    ("better", "value", "excess"),
    [("lower", 3.0, 1.0), ("higher", 3.0, -1.0), ("nearer", 1.5, 0.5), ("lower", 1.0, -1.0)],
)
def test_the_excess_is_how_much_worse_than_retraining(better: str, value: float, excess: float) -> None:
    assert dataclasses.replace(SCORE, better=better, value=value).excess == excess


@pytest.mark.parametrize(
    ("yardstick", "value", "interval", "is_level", "is_close"),
    [
        (Yardstick(noise=0.1, share=0.5), 3.0, None, True, True),
        (Yardstick(noise=0.1, share=0.5), 3.1, None, False, True),
        (Yardstick(noise=0.1), 3.0, None, False, False),
        (Yardstick(noise=0.1), 3.0, (1.9, 4.1), False, False),
        (Yardstick(noise=0.1, by_interval=True), 3.0, (1.9, 4.1), True, False),
        (Yardstick(noise=0.1, by_interval=True), 3.0, (2.1, 4.1), False, False),
    ],
)
def test_a_yardstick_tells_what_is_level_and_what_is_close(
    yardstick: Yardstick, value: float, interval: tuple[float, float] | None, is_level: bool, is_close: bool
) -> None:
    score = dataclasses.replace(SCORE, value=value, interval=interval)
    assert (yardstick.is_level(score), yardstick.is_close(score)) == (is_level, is_close)


@pytest.mark.parametrize(("before", "is_off"), [(None, True), (2.4, True), (2.5, False)])
def test_what_was_bad_before_is_not_blamed(before: float | None, is_off: bool) -> None:
    score = dataclasses.replace(SCORE, value=5.0)
    earlier = None if before is None else dataclasses.replace(SCORE, value=before)
    assert KlomJudge().yardstick.is_off(score, before=earlier) == is_off
