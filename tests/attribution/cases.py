"""A small experiment with known weights for each estimator; the contract tests run on these cases.

A new estimator takes one line in CASES.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from convex import overlapping
from planted_groups import lines_of, masks_of, views_of

from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.gradients.influence import GroupInfluence
from pipeline.attribution.gradients.trak import Trak
from pipeline.attribution.lasso.lasso import Lasso
from pipeline.attribution.linear.combined import Combined
from pipeline.attribution.linear.difference import DifferenceOfMeans
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.attribution.linear.local import LocalRidge
from pipeline.attribution.matrix import AttributionFile
from pipeline.attribution.ridge import Ridge

N_TRAIN, N_POINTS, PER_POINT = 40, 4, 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """An estimator, what it learns from, and the truth: weights (n_train, n_outputs).

    Unseen (n_models, n_train) are masks it has not met.
    """

    estimator: Estimator
    evidence: Evidence
    block: Block
    weights: np.ndarray
    unseen: np.ndarray

    def fit(self) -> tuple[Arrays, Arrays]:
        """Return what all outputs share and what is learnt of each."""
        factor = self.estimator.factor(self.evidence)
        return factor, self.estimator.fit(factor, self.evidence, self.block)

    def datamodel(self) -> Datamodel:
        """Return the fitted datamodel."""
        return self.estimator.datamodel(*self.fit(), self.evidence, self.block)


@cache
def _planted(n_models: int = 160) -> tuple[Evidence, Block, np.ndarray, np.ndarray]:
    rng, lines = np.random.default_rng(0), lines_of(N_TRAIN)
    masks, unseen = masks_of(lines, n_models), masks_of(lines, 30, seed=9)
    weights = rng.normal(size=(N_TRAIN, N_POINTS * PER_POINT)) * (
        rng.random((N_TRAIN, N_POINTS * PER_POINT)) < 0.5
    )
    outputs = masks @ weights + 3 + 0.2 * rng.normal(size=(n_models, N_POINTS * PER_POINT))
    block = Block(points=np.arange(7, 7 + N_POINTS), outputs=outputs, per_point=PER_POINT)
    return Evidence(masks=masks, heldout=unseen, lines=lines), block, weights, unseen


def in_subset_models(estimator: Estimator, n_models: int = 160) -> Case:
    """Return a case of subset models: outputs linear in the mask, plus a constant and noise.

    Half of the weights are 0.
    """
    evidence, block, weights, unseen = _planted(n_models)
    lines, views = (
        (evidence.lines if "groups" in estimator.needs else None),
        (views_of(N_TRAIN) if "views" in estimator.needs else None),
    )
    fresh = Evidence(masks=evidence.masks, heldout=evidence.heldout, lines=lines, views=views)
    return Case(estimator=estimator, evidence=fresh, block=block, weights=weights, unseen=unseen)


def in_a_file(folder: Path) -> Case:
    """Return a case whose weights are in a file, beside weights of other points.

    The outputs are those of models that have seen every point.
    """
    _, block, weights, unseen = _planted()
    rng, masks = np.random.default_rng(2), np.ones((160, N_TRAIN), bool)
    matrix = rng.normal(size=(N_TRAIN, 20, PER_POINT)).astype(np.float32)
    matrix[:, block.points] = weights.reshape(N_TRAIN, N_POINTS, PER_POINT)
    matrix.tofile(folder / "weights")
    outputs = masks @ weights + 3 + 0.2 * rng.normal(size=(160, weights.shape[1]))
    return Case(
        estimator=AttributionFile(path=folder / "weights", dtype="float32"),
        evidence=Evidence(masks=masks, heldout=unseen),
        block=replace(block, outputs=outputs),
        weights=weights,
        unseen=unseen,
    )


@cache
def _retrained(n_classes: int) -> tuple[Evidence, Block, np.ndarray]:
    convex, points = overlapping(N_TRAIN, n_classes, stretched=40.0), np.arange(N_TRAIN, N_TRAIN + N_POINTS)
    weights = np.stack([-convex.effect(np.array([point]))[points].ravel() for point in range(N_TRAIN)])
    return convex.evidence(masks_of(lines_of(N_TRAIN), 30, seed=1)), convex.block(points), weights


def in_checkpoints(estimator: Estimator, n_classes: int) -> Case:
    """Return softmax regression at its minimum.

    The weights are what retraining without each point takes away.
    """
    evidence, block, weights = _retrained(n_classes)
    return Case(estimator=estimator, evidence=evidence, block=block, weights=weights, unseen=evidence.heldout)


# By the estimator's name in the table; the folder is for whoever reads files.
CASES: dict[str, Callable[[Path], Case]] = {
    "combined": lambda _: in_subset_models(Combined()),
    "difference_of_means": lambda _: in_subset_models(DifferenceOfMeans(), n_models=2000),
    "file": in_a_file,
    "influence": lambda _: in_checkpoints(GroupInfluence(damping=0.05), 3),
    "kernel": lambda _: in_subset_models(GroupKernel()),
    "lasso": lambda _: in_subset_models(Lasso()),
    "local": lambda _: in_subset_models(LocalRidge()),
    "ridge": lambda _: in_subset_models(Ridge()),
    "trak": lambda _: in_checkpoints(Trak(damping=0.05), 2),
}


def case_of(name: str, folder: Path) -> Case:
    """Return the case of an estimator; raises KeyError saying what to add for one that has none."""
    if name not in CASES:
        raise KeyError(
            f"estimator {name!r} has no case to be tested on; add a line for it to CASES in "
            "tests/attribution/cases.py"
        )
    return CASES[name](folder)
