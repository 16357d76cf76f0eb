"""A small experiment with known weights for each estimator of the table, which the contracts are run on; a new estimator takes one line in CASES."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from planted_groups import lines_of, masks_of, views_of

from pipeline.attribution.combined import Combined
from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.kernel import GroupKernel
from pipeline.attribution.local import LocalRidge
from pipeline.attribution.ridge import Ridge

N_TRAIN, N_POINTS, PER_POINT = 40, 4, 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """An estimator, what it learns from, and the truth: weights (n_train, n_outputs); unseen (n_models, n_train) are masks it has not met."""

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
def _planted() -> tuple[Evidence, Block, np.ndarray, np.ndarray]:
    rng, lines = np.random.default_rng(0), lines_of(N_TRAIN)
    masks, unseen = masks_of(lines, 160), masks_of(lines, 30, seed=1)
    weights = rng.normal(size=(N_TRAIN, N_POINTS * PER_POINT)) * (rng.random((N_TRAIN, N_POINTS * PER_POINT)) < 0.5)
    outputs = masks @ weights + 3 + 0.2 * rng.normal(size=(160, N_POINTS * PER_POINT))
    block = Block(points=np.arange(7, 7 + N_POINTS), outputs=outputs, per_point=PER_POINT)
    return Evidence(masks=masks, heldout=unseen, lines=lines), block, weights, unseen


def in_subset_models(estimator: Estimator) -> Case:
    """Return outputs of subset models that are linear in the mask, half of the weights 0, beside a constant and noise."""
    evidence, block, weights, unseen = _planted()
    lines, views = (evidence.lines if "groups" in estimator.needs else None), (views_of(N_TRAIN) if "views" in estimator.needs else None)
    fresh = Evidence(masks=evidence.masks, heldout=evidence.heldout, lines=lines, views=views)
    return Case(estimator=estimator, evidence=fresh, block=block, weights=weights, unseen=unseen)


# By the estimator's name in the table; the folder is for whoever reads files.
CASES: dict[str, Callable[[Path], Case]] = {
    "combined": lambda _: in_subset_models(Combined()),
    "kernel": lambda _: in_subset_models(GroupKernel()),
    "local": lambda _: in_subset_models(LocalRidge()),
    "ridge": lambda _: in_subset_models(Ridge()),
}


def case_of(name: str, folder: Path) -> Case:
    """Return the case of an estimator; raises KeyError saying what to add for one that has none."""
    if name not in CASES:
        raise KeyError(f"estimator {name!r} has no case to be tested on; add a line for it to CASES in tests/attribution/cases.py")
    return CASES[name](folder)
