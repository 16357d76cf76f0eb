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

# Shares of every population's models, each twice the one before. Gains usually shrink, so the gain of the
# last doubling is taken as the most that another one would bring.
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
# The LDS that twice as many models must gain to be worth their training.
WORTHWHILE = 0.01
# At most this many blocks of points are scored, evenly spaced. They are enough for the mean LDS over points.
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
        """Fit datamodels to each share of the models, and score them.

        For the share 1, the predictions are read from the table of the fit.
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
        """Return the inputs that the fits of all blocks share, with the models at rows members."""
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
    """Return the rows of the first models of each population, as positions in all populations joined."""
    return _first([len(work.read(name, ["seed"])["seed"]) for name in populations], share)


def model_counts(sizes: list[int], share: float) -> list[int]:
    """Return the number of models in a share of each population: at least 3, or all if there are fewer."""
    return [min(size, max(3, math.ceil(share * size))) for size in sizes]


def _first(sizes: list[int], share: float) -> Indices:
    """Return the rows of the first share of each population, in the order of the concatenated populations."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    counts = model_counts(sizes, share)
    return np.concatenate(
        [np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)]
    )
