"""Views give the similarity of points, even if there are too many features to keep."""

import numpy as np
import pytest

from pipeline.core.errors import ShapeError
from pipeline.data.scout_views import MOST_FEATURES, Views, draw_views


def unit_rows(n_points, n_features, seed=0):
    features = np.random.default_rng(seed).normal(size=(n_points, n_features)) + 1.5
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def test_likeness_is_the_inner_product_of_features():
    features = unit_rows(12, 5)
    views = draw_views(features, np.zeros(12, int), np.ones(12))
    assert views.likeness(8, np.array([2, 11])) == pytest.approx(features[:8] @ features[[2, 11]].T, abs=1e-6)
    assert views.likeness(8, np.array([2]))[2] == pytest.approx(1, abs=1e-6)


def test_many_features_are_projected_and_likeness_stays():
    features = unit_rows(40, 3 * MOST_FEATURES)
    views = draw_views(features, np.zeros(40, int), np.ones(40), seed=3)
    exact, found = features @ features.T, views.likeness(40, np.arange(40))
    assert views.features.shape == (40, MOST_FEATURES)
    assert np.diag(found) == pytest.approx(1, abs=1e-5)
    assert found == pytest.approx(exact, abs=0.12)
    assert np.sqrt(np.square(found - exact).mean()) < 0.03


def test_lengths_that_differ_are_refused():
    with pytest.raises(ShapeError, match="3 rows of features, 2 labels, 3 difficulties"):
        Views(features=unit_rows(3, 2), labels=np.zeros(2, int), difficulty=np.ones(3))
