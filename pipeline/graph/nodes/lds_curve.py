"""The node that shows whether more subset models would help.

Datamodels are fitted to ever larger shares of the models, and each is scored on the same held-out models.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.attribution.estimator import HELDOUT_MARGINS
from pipeline.attribution.lds import lds
from pipeline.core.arrays import HeldoutOutputs, Indices
from pipeline.graph.logits_layout import Layout, block_margins
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.attribution import Attribution, Basis
from pipeline.graph.nodes.fit import ScoreNode
from pipeline.store.store import Shard

# Shares of every population's models, each twice the one before. The next doubling gains at most as much as
# the last one.
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
# The LDS that twice as many models must gain to be worth their training.
WORTHWHILE = 0.01
# The number of blocks of points that are scored, evenly spaced. It is enough for the mean over targets.
MOST_BLOCKS = 4


@dataclass(frozen=True, kw_only=True)
class CurveNode(Attribution):
    """LDS of margins against the number of models; unit i is share i."""

    stage: ClassVar[str] = ScoreNode.stage
    title: ClassVar[str] = ScoreNode.title
    unit: ClassVar[str] = "shares"
    revision: ClassVar[int] = 3

    fit_key: str

    @override
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"shares": SHARES}

    @override
    def parents(self) -> dict[str, Parent]:
        return super().parents() | {"fit": Parent(self.fit_key)}

    @override
    def compute(self, work: Work) -> Shard:
        """Fit to the first models of each population, and score.

        The fit to all models is read from its table.
        """
        rows = [self._score(work, share) for share in SHARES[work.start : work.stop]]
        return Shard(columns={name: np.array([row[name] for row in rows]) for name in rows[0]})

    def _score(self, work: Work, share: float) -> dict[str, float]:
        members, blocks = first_members(work, self.subset_keys, share), self._blocks(work)
        predicted = (
            self._predict(work, members, blocks) if share < 1 else _predicted(work, self.layout, blocks)
        )
        actual = [
            block_margins(work.store, work.inputs["heldout"], self.layout, block, work.examples.labels)
            for block in blocks
        ]
        score = lds(predicted=np.concatenate(predicted, axis=1), actual=np.concatenate(actual, axis=1))
        return {
            "n_models": float(len(members)),
            "lds": score.mean,
            "low": score.interval[0],
            "high": score.interval[1],
        }

    def _blocks(self, work: Work) -> list[int]:
        n_blocks = self.layout.n_blocks(work.examples.n_points)
        return np.unique(
            np.linspace(0, n_blocks - 1, min(n_blocks, MOST_BLOCKS)).round().astype(int)
        ).tolist()

    def _predict(self, work: Work, members: Indices, blocks: list[int]) -> list[HeldoutOutputs]:
        basis, predicted = self._basis(work, members), []
        for number in blocks:
            block = self.block(work, number, self.margins(work, number)[members], basis)
            fit = self.estimator.fit(basis.factor, basis.evidence, block)
            predicted.append(self.estimator.predict_heldout(basis.factor, fit, basis.evidence, block))
        return predicted

    def _basis(self, work: Work, members: Indices) -> Basis:
        """Return the basis of every block, from some models."""
        every = self.basis(work, {})
        evidence = replace(every.evidence, masks=every.evidence.masks[members])
        seeds, populations = every.seeds[members], every.populations[members]
        return replace(
            every,
            factor=self.estimator.factor(evidence),
            evidence=evidence,
            seeds=seeds,
            populations=populations,
        )


def _predicted(work: Work, layout: Layout, blocks: list[int]) -> list[HeldoutOutputs]:
    """Return the predictions of the stored fit to all models, block by block."""
    found = work.read("fit", [HELDOUT_MARGINS])[HELDOUT_MARGINS].T
    return [found[:, layout.points(block, work.examples.n_points)] for block in blocks]


def first_members(work: Work, populations: Iterable[str], share: float) -> Indices:
    """Return the rows of the first share of each population, among the rows of all populations."""
    return _first([len(work.read(name, ["seed"])["seed"]) for name in populations], share)


def model_counts(sizes: list[int], share: float) -> list[int]:
    """Return the number of models in a share of each population, at least 3."""
    return [min(size, max(3, math.ceil(share * size))) for size in sizes]


def _first(sizes: list[int], share: float) -> Indices:
    """Return the rows of the first share of each population, in the order of the concatenated populations."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    counts = model_counts(sizes, share)
    return np.concatenate(
        [np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)]
    )
