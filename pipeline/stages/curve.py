"""Whether more subset models would help, as a node: datamodels fitted to ever larger shares of the models, each scored on the same held-out ones."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.attribution.evidence import Evidence
from pipeline.attribution.lds import lds
from pipeline.core.arrays import HeldoutOutputs, Indices
from pipeline.evaluation.margins import margins
from pipeline.runtime.store import Shard
from pipeline.stages.fit import HELDOUT_MARGINS, Attribution, masks_of
from pipeline.stages.layout import Layout, column
from pipeline.stages.node import Parent, Work

# Shares of every population's models, each twice the one before: what the last doubling gained is what the next one would at most.
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
# Blocks of points that are scored, evenly spaced: enough for the mean over targets.
MOST_BLOCKS = 4


@dataclass(frozen=True, kw_only=True)
class Curve(Attribution):
    """LDS of margins against the number of models; unit i is share i."""

    stage: ClassVar[str] = "score"
    unit: ClassVar[str] = "shares"

    fit_key: str

    def settings(self) -> dict[str, Any]:
        """See Node."""
        return super().settings() | {"shares": SHARES}

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return super().parents() | {"fit": Parent(self.fit_key)}

    def compute(self, work: Work) -> Shard:
        """Fit to the first models of each population, those of all models being fitted already, and score."""
        rows = [self._score(work, share) for share in SHARES[work.start : work.stop]]
        return Shard(columns={name: np.array([row[name] for row in rows]) for name in rows[0]})

    def _score(self, work: Work, share: float) -> dict[str, float]:
        sizes = [len(masks_of(work, name)) for name in self.subset_keys]
        members, blocks = _first(sizes, share), self._blocks(work)
        predicted = self._predict(work, members, blocks) if share < 1 else _predicted(work, self.layout, blocks)
        n_points, labels = work.examples.n_points, work.examples.labels
        actual = [margins(work.read("heldout", [column(block)])[column(block)], labels[self.layout.points(block, n_points)]) for block in blocks]
        score = lds(predicted=np.concatenate(predicted, axis=1), actual=np.concatenate(actual, axis=1))
        return {"n_models": float(len(members)), "lds": score.mean, "low": score.interval[0], "high": score.interval[1]}

    def _blocks(self, work: Work) -> list[int]:
        n_blocks = self.layout.n_blocks(work.examples.n_points)
        return np.unique(np.linspace(0, n_blocks - 1, min(n_blocks, MOST_BLOCKS)).round().astype(int)).tolist()

    def _predict(self, work: Work, members: Indices, blocks: list[int]) -> list[HeldoutOutputs]:
        evidence = self.evidence(work)
        evidence = Evidence(masks=evidence.masks[members], heldout=evidence.heldout, lines=evidence.lines, trained=evidence.trained)
        factor, predicted = self.estimator.factor(evidence), []
        for number in blocks:
            labels = work.examples.labels[self.layout.points(number, work.examples.n_points)]
            block = self.block(work, number, margins(self.logits(work, number), labels), members)
            predicted.append(self.estimator.predict_heldout(factor, self.estimator.fit(factor, evidence, block), evidence, block))
        return predicted


def _predicted(work: Work, layout: Layout, blocks: list[int]) -> list[HeldoutOutputs]:
    """Return the predictions that the fit to all models has made, block by block."""
    found = work.read("fit", [HELDOUT_MARGINS])[HELDOUT_MARGINS].T
    return [found[:, layout.points(block, work.examples.n_points)] for block in blocks]


def _first(sizes: list[int], share: float) -> Indices:
    """Return the rows of the first share of each population, at least 3 of it, in the order of the concatenated populations."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    counts = [min(size, max(3, math.ceil(share * size))) for size in sizes]
    return np.concatenate([np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)])
