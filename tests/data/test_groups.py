"""Groups follow their lines, and designed subsets drop whole groups but keep an equal number of points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data import nested_groups as groups
from pipeline.data.masks import count_kept
from pipeline.data.nested_groups import (
    BALL,
    CAP,
    GROUPED,
    HARD,
    LENGTH,
    SMALLEST,
    Lines,
    designed_mask,
    draw_lines,
)


def drawn(
    n_train: int = 60, n_classes: int = 3, n_features: int = 5, seed: int = 0, **options: int
) -> tuple[Lines, np.ndarray, np.ndarray]:
    """Return lines of random points, their features and their labels."""
    rng = np.random.default_rng(seed)
    features, labels = rng.normal(size=(n_train, n_features)), np.arange(n_train) % n_classes
    return (
        draw_lines(features, labels, rng.gamma(2.0, size=n_train), **{"caps_per_class": 4, **options}),
        features,
        labels,
    )


def listed(line: np.ndarray) -> np.ndarray:
    """Return the ids on a line; behind its end there is nothing but -1."""
    end = int((line >= 0).sum())
    assert (line[:end] >= 0).all()
    assert (line[end:] == -1).all()
    return line[:end]


def test_ball_i_lists_the_points_of_its_label_by_falling_similarity_to_point_i() -> None:
    lines, features, labels = drawn()
    assert lines.of(BALL).shape == (60, LENGTH)
    for centre, line in enumerate(lines.of(BALL)):
        ball = listed(line)
        assert ball[0] == centre
        assert set(ball) == set(np.flatnonzero(labels == labels[centre]))
        similarity = features[ball[1:]] @ features[centre]
        assert (np.diff(similarity) <= 1e-12).all()


def test_a_point_leads_its_ball_even_where_others_are_more_like_it_than_itself() -> None:
    features = np.array([[1.0], [5.0], [9.0]])
    lines = draw_lines(features, np.zeros(3, int), np.ones(3))
    assert [listed(line).tolist() for line in lines.of(BALL)] == [[0, 2, 1], [1, 2, 0], [2, 1, 0]]


def test_caps_order_one_class_along_a_direction() -> None:
    """Points on a segment: any direction has one of its ends first, and the other last."""
    rng = np.random.default_rng(0)
    place, labels = rng.permutation(40).astype(float), np.arange(40) % 2
    lines = draw_lines(place[:, None] * [0.6, 0.8], labels, np.ones(40), caps_per_class=20)
    orders = [listed(line) for line in lines.of(CAP)]
    assert [set(labels[order]) for order in orders] == [{0}] * 20 + [{1}] * 20
    signs = [np.unique(np.sign(np.diff(place[order]))).tolist() for order in orders]
    assert {tuple(sign) for sign in signs} == {(-1.0,), (1.0,)}


def test_the_hard_line_lists_the_hardest_points_first() -> None:
    lines, *_ = drawn(n_train=200)
    (line,) = lines.of(HARD)
    assert listed(line).tolist() == np.argsort(-lines.difficulty, kind="stable")[:LENGTH].tolist()
    assert lines.kinds.tolist() == [BALL] * 200 + [CAP] * 12 + [HARD]


def test_lines_end_where_their_class_or_their_length_does() -> None:
    lines, _, labels = drawn(n_train=400, n_classes=2)
    assert {len(listed(line)) for line in lines.ids} == {LENGTH}
    lines, _, labels = drawn(n_train=7, n_classes=3)
    assert [len(listed(line)) for line in lines.of(BALL)] == [
        int((labels == label).sum()) for label in labels
    ]
    assert len(listed(lines.of(HARD)[0])) == 7


def test_lines_follow_from_their_seed_and_only_caps_are_random() -> None:
    one, again, other = (draw_lines(*_evidence(), caps_per_class=4, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.ids, again.ids)
    assert np.array_equal(one.of(BALL), other.of(BALL))
    assert not np.array_equal(one.of(CAP), other.of(CAP))


def _evidence() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lines, features, labels = drawn()
    return features, labels, lines.difficulty


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ShapeError, match="60 rows of features, 59 labels, 60 difficulties"):
        draw_lines(np.zeros((60, 2)), np.zeros(59, int), np.zeros(60))


@pytest.mark.parametrize("broken", ["features", "difficulty"])
def test_what_diverged_scouts_see_is_refused(broken: str) -> None:
    """The trap of a NaN that sorts last.

    The kernel of such lines would be NaN only after all subset models are trained.
    """
    features, labels, difficulty = (values.copy() for values in _evidence())
    {"features": features, "difficulty": difficulty}[broken][3] = np.nan
    with pytest.raises(DataError, match=r"point 3 .*recipe.learning_rate"):
        draw_lines(features, labels, difficulty)


@settings(deadline=None, max_examples=60)
@given(
    n_train=st.integers(2, 150),
    n_classes=st.integers(1, 40),
    keep_fraction=st.floats(0.02, 0.98),
    seed=st.integers(0, 2**63 - 1),
)
def test_designed_subsets_keep_exactly_the_rounded_share(
    n_train: int, n_classes: int, keep_fraction: float, seed: int
) -> None:
    """This also holds if classes are smaller than the smallest group, or nearly all or nothing is kept."""
    lines, *_ = drawn(n_train, min(n_classes, n_train), caps_per_class=2)
    if 0 < round(keep_fraction * n_train) < n_train:
        mask = designed_mask(lines, keep_fraction, seed)
        assert mask.shape == (n_train,)
        assert mask.sum() == count_kept(n_train, keep_fraction)
        assert np.array_equal(mask, designed_mask(lines, keep_fraction, seed))
    else:
        with pytest.raises(ConfigError, match=f"of {n_train} training points"):
            designed_mask(lines, keep_fraction, seed)


def test_designed_subsets_differ_by_their_seed() -> None:
    lines, *_ = drawn()
    assert len(np.unique([designed_mask(lines, 0.7, seed) for seed in range(50)], axis=0)) == 50


def test_most_of_what_is_dropped_goes_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are recorded as they are drawn.

    All their points are dropped, and they hold at least the share GROUPED of all dropped points, less one
    group.
    """
    lines, *_ = drawn(n_train=400, n_classes=4)
    taken: list[np.ndarray] = []
    draw = groups._group
    monkeypatch.setattr(groups, "_group", lambda *given: taken.append(draw(*given)) or taken[-1])
    for seed in range(40):
        taken.clear()
        dropped = np.flatnonzero(~designed_mask(lines, 0.8, seed))
        grouped = np.unique(np.concatenate(taken))
        assert len(dropped) == 80
        assert set(grouped) <= set(dropped)
        assert len(grouped) > GROUPED * 80 - SMALLEST
        assert all(SMALLEST <= len(group) <= groups._LARGEST for group in taken)


def test_designed_subsets_lose_neighbourhoods_that_random_ones_keep() -> None:
    """All ten points nearest to some point are dropped far more often than by chance.

    This is the purpose of the design; by chance it never happens.
    """
    lines, *_ = drawn(n_train=300, n_classes=3)
    masks = np.array([designed_mask(lines, 0.85, seed) for seed in range(100)])
    nearest = lines.of(BALL)[:, :10]
    assert (~masks[:, nearest]).all(axis=2).any(axis=1).mean() > 0.3


def test_every_point_is_dropped_now_and_then() -> None:
    lines, *_ = drawn(n_train=100)
    dropped = np.mean([~designed_mask(lines, 0.8, seed) for seed in range(300)], axis=0)
    assert dropped.mean() == pytest.approx(0.2)
    assert dropped.min() > 0.04
