"""Attribution as nodes: the factor that all outputs share, the fit block by block, and its score on held-out subset models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from pipeline.attribution.estimator import OUTPUTS, Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, without_seed_effects
from pipeline.attribution.lds import explained, lds
from pipeline.core.arrays import Logits, Margins, Masks
from pipeline.core.registry import Plugin, describe
from pipeline.data.masks import unpack
from pipeline.evaluation.margins import margins
from pipeline.runtime.store import Shard
from pipeline.stages.layout import Layout, block_margins, column, read_margins
from pipeline.stages.lines import read_lines
from pipeline.stages.node import Node, Parent, Work
from pipeline.stages.views import read_views

# What the fit table holds beside what the estimator learnt of the logits.
MARGIN_R2, HELDOUT_MARGINS = "margin_r2", "heldout_margins"


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """What every block of outputs is learnt with: the factor, the evidence, and the seed and population of each model."""

    factor: Arrays
    evidence: Evidence
    seeds: Int[np.ndarray, " n_models"]
    populations: Int[np.ndarray, " n_models"]


@dataclass(frozen=True, kw_only=True)
class Attribution(Node):
    """What the nodes of this file share: the estimator, the layout, the subset models it learns from, and what scouts see.

    outputs: those that there are datamodels of. Without `margins`, those of held-out models are taken from their predicted logits; without
    `logits`, margins can be scored, and there are no effects to unlearn by.
    """

    estimator: Estimator
    layout: Layout
    subset_keys: Mapping[str, str]
    groups_key: str | None = None
    views_key: str | None = None
    heldout_key: str | None = None
    outputs: frozenset[str] = OUTPUTS

    def settings(self) -> dict[str, Any]:
        """See Node."""
        part = {} if self.outputs == OUTPUTS else {"outputs": sorted(self.outputs)}
        return {"estimator": describe(self.estimator), "layout": self.layout.model_dump(mode="json")} | part

    def circumstances(self) -> dict[str, Any]:
        """See Node: what lies in the estimator's file, if it has one."""
        content = self.estimator.content()
        return {"content": content} if content else {}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (*self.estimator.parts(), self.estimator)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        beside = {"groups": self.groups_key, "views": self.views_key, "heldout": self.heldout_key}
        return {name: Parent(key) for name, key in {**self.subset_keys, **beside}.items() if key is not None}

    def evidence(self, work: Work) -> Evidence:
        """Return what the estimator learns from, beside outputs."""
        return Evidence(
            masks=np.concatenate([masks_of(work, name) for name in self.subset_keys]),
            heldout=masks_of(work, "heldout") if self.heldout_key else None,
            lines=read_lines(work) if self.groups_key else None,
            views=read_views(work) if self.views_key else None,
        )

    def basis(self, work: Work, factor: Arrays) -> Basis:
        """Return what every block is learnt with, from all models."""
        seeds = [work.read(name, ["seed"])["seed"] for name in self.subset_keys]
        populations = np.repeat(np.arange(len(seeds)), [len(part) for part in seeds])
        return Basis(factor=factor, evidence=self.evidence(work), seeds=np.concatenate(seeds), populations=populations)

    def logits(self, work: Work, block: int) -> Logits:
        """Return the logits of a block, (n_models, n_block_points, n_classes)."""
        return np.concatenate([work.read(name, [column(block)])[column(block)] for name in self.subset_keys])

    def margins(self, work: Work, number: int) -> Margins:
        """Return the margins of a block, (n_models, n_block_points)."""
        labels = work.examples.labels
        return np.concatenate([block_margins(work.store, work.inputs[name], self.layout, number, labels) for name in self.subset_keys])

    def block(self, work: Work, number: int, values: Logits | Margins, basis: Basis) -> Block:
        """Return a block of logits or margins of the models of basis as the outputs to learn, in float32, without what one seed's members share."""
        outputs = values.reshape(len(values), -1).astype(np.float32, copy=False)
        outputs = without_seed_effects(outputs, basis.seeds, basis.populations)
        points = np.arange(work.examples.n_points)[self.layout.points(number, work.examples.n_points)]
        return Block(points=points, outputs=outputs, per_point=outputs.shape[1] // len(points))


@dataclass(frozen=True, kw_only=True)
class Factor(Attribution):
    """What all outputs share, computed once."""

    stage: ClassVar[str] = "factor"
    unit: ClassVar[str] = "parts"
    revision: ClassVar[int] = 2

    def compute(self, work: Work) -> Shard:
        """Factor the masks."""
        return Shard(columns=self.estimator.factor(self.evidence(work)))


@dataclass(frozen=True, kw_only=True)
class Fit(Attribution):
    """What is learnt of each output; unit b is block b of points. Rows are points: (n_points, n_classes, …) for logits, (n_points, …) for margins."""

    stage: ClassVar[str] = "fit"
    unit: ClassVar[str] = "blocks"
    streams: ClassVar[bool] = True
    revision: ClassVar[int] = 3

    factor_key: str

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return super().parents() | {"factor": Parent(self.factor_key)}

    def common(self, work: Work) -> Basis:
        """See Node."""
        return self.basis(work, work.read("factor"))

    def compute(self, work: Work) -> Shard:
        """Fit the logits of each block, and its margins to predict those of held-out models."""
        basis = self.common(work) if work.common is None else work.common
        parts = [self._fit_block(work, block, basis) for block in range(work.start, work.stop)]
        return Shard(columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _fit_block(self, work: Work, number: int, basis: Basis) -> dict[str, np.ndarray]:
        factor, evidence, columns = basis.factor, basis.evidence, dict[str, np.ndarray]()
        if "logits" in self.outputs:
            logits = self.logits(work, number)
            block = self.block(work, number, logits, basis)
            fit = self.estimator.fit(factor, evidence, block)
            columns = {name: values.reshape(*logits.shape[1:], *values.shape[1:]) for name, values in fit.items()}
            if evidence.heldout is not None and "margins" not in self.outputs:
                predicted = self.estimator.predict_heldout(factor, fit, evidence, block).reshape(-1, *logits.shape[1:])
                columns[HELDOUT_MARGINS] = margins(predicted, work.examples.labels[self.layout.points(number, work.examples.n_points)]).T
        if "margins" in self.outputs and (evidence.heldout is not None or not columns):
            block = self.block(work, number, self.margins(work, number), basis)
            of_margins = self.estimator.fit(factor, evidence, block)
            columns = columns or dict(of_margins)
            columns |= {MARGIN_R2: of_margins["r2"]} if "r2" in self.estimator.scalars else {}
            if evidence.heldout is not None:
                columns[HELDOUT_MARGINS] = self.estimator.predict_heldout(factor, of_margins, evidence, block).T
        return columns


@dataclass(frozen=True, kw_only=True)
class Score(Attribution):
    """How well the datamodel predicts models it has not seen: LDS of margins on the held-out population, with its interval."""

    stage: ClassVar[str] = "score"
    unit: ClassVar[str] = "parts"
    revision: ClassVar[int] = 2

    fit_key: str

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"fit": Parent(self.fit_key)} | ({"heldout": Parent(self.heldout_key)} if self.heldout_key else {})

    def compute(self, work: Work) -> Shard:
        """Correlate predicted with actual margins, point by point."""
        has_r2 = "r2" in self.estimator.scalars
        fit = work.read("fit", [HELDOUT_MARGINS, *self.estimator.scalars, *([MARGIN_R2] if has_r2 else [])])
        actual = read_margins(work.store, work.inputs["heldout"], self.layout, work.examples.labels)
        predicted = fit[HELDOUT_MARGINS].T
        score = lds(predicted=predicted, actual=actual)
        r2 = explained(predicted, actual)
        blocks = [self.layout.points(block, len(r2)) for block in range(self.layout.n_blocks(len(r2)))]
        summary = {
            "lds": score.mean,
            "lds_interval": list(score.interval),
            "n_constant": score.n_constant,
            "r2_logits": float(fit["r2"].mean()) if has_r2 and "logits" in self.outputs else None,
            "r2_margins": float(fit[MARGIN_R2].mean()) if has_r2 else None,
            "r2_heldout": float(r2.mean()),
            "r2_heldout_by_block": [float(r2[points].mean()) for points in blocks],
            "medians": {name: float(np.median(fit[name])) for name in self.estimator.scalars},
            "means": {name: float(fit[name].mean()) for name in self.estimator.scalars},
            "n_heldout": len(actual),
        }
        return Shard(columns={"heldout_r2": r2}, summary=summary)


def masks_of(work: Work, name: str) -> Masks:
    """Return the masks (n_models, n_train) of a population."""
    return unpack(work.read(name, ["mask"])["mask"], work.examples.n_train)
