"""Nodes of attribution: the results that all outputs share, the fit of each block of points, and the score.

The score compares predictions with held-out subset models.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.attribution.estimator import HELDOUT_MARGINS, MARGIN_R2
from pipeline.attribution.lds import explained, lds
from pipeline.evaluation.margins import margins
from pipeline.graph.logits_layout import read_stored_margins
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.attribution import Attribution, Basis
from pipeline.store.store import Shard


@dataclass(frozen=True, kw_only=True)
class Factor(Attribution):
    """The part of the fit that all outputs share, such as a factorisation of the masks, computed once."""

    stage: ClassVar[str] = "factor"
    title: ClassVar[str] = "factor masks"
    unit: ClassVar[str] = "parts"
    revision: ClassVar[int] = 2

    @override
    def compute(self, work: Work) -> Shard:
        return Shard(columns=self.estimator.factor(self.evidence(work)))


@dataclass(frozen=True, kw_only=True)
class Fit(Attribution):
    """The results of the fit for each output; unit b is block b of points.

    Rows are points: (n_points, n_classes, …) for logits, (n_points, …) for margins.
    """

    stage: ClassVar[str] = "fit"
    title: ClassVar[str] = "fit datamodels"
    unit: ClassVar[str] = "blocks"
    streams: ClassVar[bool] = True
    revision: ClassVar[int] = 3

    factor_key: str

    @override
    def parents(self) -> dict[str, Parent]:
        return super().parents() | {"factor": Parent(self.factor_key)}

    @override
    def common(self, work: Work) -> Basis:
        return self.basis(work, work.read("factor"))

    @override
    def compute(self, work: Work) -> Shard:
        """Fit the outputs of each block, and predict the margins of held-out models, if there are any."""
        basis = self.common(work) if work.common is None else work.common
        parts = [self._fit_block(work, block, basis) for block in range(work.start, work.stop)]
        return Shard(columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _fit_block(self, work: Work, number: int, basis: Basis) -> dict[str, np.ndarray]:
        factor, evidence, columns = basis.factor, basis.evidence, dict[str, np.ndarray]()
        if "logits" in self.outputs:
            logits = self.logits(work, number)
            block = self.block(work, number, logits, basis)
            fit = self.estimator.fit(factor, evidence, block)
            columns = {
                name: values.reshape(*logits.shape[1:], *values.shape[1:]) for name, values in fit.items()
            }
            if evidence.heldout is not None and "margins" not in self.outputs:
                predicted = self.estimator.predict_heldout(factor, fit, evidence, block).reshape(
                    -1, *logits.shape[1:]
                )
                columns[HELDOUT_MARGINS] = margins(
                    predicted, work.examples.labels[self.layout.points(number, work.examples.n_points)]
                ).T
        if "margins" in self.outputs and (evidence.heldout is not None or not columns):
            block = self.block(work, number, self.margins(work, number), basis)
            of_margins = self.estimator.fit(factor, evidence, block)
            columns = columns or dict(of_margins)
            columns |= {MARGIN_R2: of_margins["r2"]} if "r2" in self.estimator.scalars else {}
            if evidence.heldout is not None:
                columns[HELDOUT_MARGINS] = self.estimator.predict_heldout(
                    factor, of_margins, evidence, block
                ).T
        return columns


@dataclass(frozen=True, kw_only=True)
class ScoreNode(Attribution):
    """How well the datamodel predicts models that it has not seen.

    The score is the LDS of margins on the held-out population, with its interval.
    """

    stage: ClassVar[str] = "score"
    title: ClassVar[str] = "score datamodels"
    unit: ClassVar[str] = "parts"
    revision: ClassVar[int] = 3

    fit_key: str

    @override
    def parents(self) -> dict[str, Parent]:
        return {"fit": Parent(self.fit_key)} | (
            {"heldout": Parent(self.heldout_key)} if self.heldout_key else {}
        )

    @override
    def compute(self, work: Work) -> Shard:
        """Correlate predicted with actual margins, point by point."""
        has_r2 = "r2" in self.estimator.scalars
        fit = work.read("fit", [HELDOUT_MARGINS, *self.estimator.scalars, *([MARGIN_R2] if has_r2 else [])])
        actual = read_stored_margins(work.store, work.inputs["heldout"], self.layout, work.examples.labels)
        predicted = fit[HELDOUT_MARGINS].T
        score = lds(predicted=predicted, actual=actual)
        r2 = explained(predicted, actual)
        blocks = [self.layout.points(block, len(r2)) for block in range(self.layout.n_blocks(len(r2)))]
        summary = {
            "lds": score.mean,
            "lds_interval": list(score.interval),
            "n_constant": score.n_constant,
            "n_flat": score.n_flat,
            "r2_logits": float(fit["r2"].mean()) if has_r2 and "logits" in self.outputs else None,
            "r2_margins": float(fit[MARGIN_R2].mean()) if has_r2 else None,
            "r2_heldout": float(r2.mean()),
            "r2_heldout_by_block": [float(r2[points].mean()) for points in blocks],
            "medians": {name: float(np.median(fit[name])) for name in self.estimator.scalars},
            "means": {name: float(fit[name].mean()) for name in self.estimator.scalars},
            "n_heldout": len(actual),
        }
        return Shard(columns={"heldout_r2": r2}, summary=summary)
