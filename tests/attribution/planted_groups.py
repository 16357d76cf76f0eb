"""Random points with their lines, masks of both kinds of subset models, and fits, for tests of groups."""

from typing import Any

import numpy as np
from blocks import block_of

from pipeline.attribution.estimator import Arrays
from pipeline.attribution.evidence import Evidence
from pipeline.attribution.linear.dual import DualDatamodel, DualEstimator
from pipeline.data.masks import subset_mask
from pipeline.data.nested_groups import Lines, designed_mask, draw_lines
from pipeline.data.scout_views import Views, draw_views

N_TRAIN = 80


def lines_of(n_train: int = N_TRAIN, seed: int = 0) -> Lines:
    """Return the lines of points in four classes, a third of which are far harder than the others."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_train) % 4
    return draw_lines(
        rng.normal(size=(n_train, 6)) + 2 * np.eye(4, 6)[labels],
        labels,
        rng.gamma(1.0, size=n_train),
        caps_per_class=10,
    )


def views_of(n_points: int = N_TRAIN, seed: int = 0) -> Views:
    """Return the views of points in four classes that look alike within a class.

    A third of the points is far harder than the others.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(n_points) % 4
    features = rng.normal(size=(n_points, 6)) + 2 * np.eye(4, 6)[labels]
    return draw_views(
        features / np.linalg.norm(features, axis=1, keepdims=True), labels, rng.gamma(1.0, size=n_points)
    )


def masks_of(lines: Lines, n_models: int, seed: int = 0) -> np.ndarray:
    """Return masks (n_models, n_train) that keep .8, random and designed in turn."""
    n_train = len(lines.difficulty)
    draw = (
        lambda member: subset_mask(n_train, 0.8, member),
        lambda member: designed_mask(lines, 0.8, member),
    )
    return np.stack([draw[member % 2](1000 * seed + member) for member in range(n_models)])


def fitted(estimator: DualEstimator, evidence: Evidence, outputs: np.ndarray) -> tuple[DualDatamodel, Arrays]:
    """Return the datamodel of outputs (n_models, n_outputs) and what was learnt of each."""
    factor = estimator.factor(evidence)
    fit = estimator.fit(factor, evidence, block_of(outputs))
    return estimator.datamodel(factor, fit, evidence, block_of(outputs)), fit


def effects(datamodel: DualDatamodel, sets: list[np.ndarray]) -> tuple[Any, Any]:
    """Return means and standard errors (n_sets, n_outputs) of the effects of removing each set."""
    found = [datamodel.effect_of_removing(ids) for ids in sets]
    return np.stack([effect.mean for effect in found]), np.stack([effect.standard_error for effect in found])
