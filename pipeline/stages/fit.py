"""Attribution as nodes: the factor that all outputs share, the fit block by block, and its score on held-out subset models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, without_seed_effects
from pipeline.attribution.lds import explained, lds
from pipeline.core.arrays import Indices, Logits, Margins, Masks
from pipeline.core.registry import Plugin, describe
from pipeline.data.masks import unpack
from pipeline.evaluation.margins import margins
from pipeline.models.base import Model
from pipeline.runtime.store import Shard
from pipeline.stages.layout import Layout, column, read_margins
from pipeline.stages.lines import read_lines
from pipeline.stages.node import Node, Parent, Work
from pipeline.stages.train import read_states
from pipeline.training.ensemble import Builder
from pipeline.training.gradients import Checkpoints

# What the fit table holds beside what the estimator learnt of the logits.
MARGIN_R2, HELDOUT_MARGINS = "margin_r2", "heldout_margins"


@dataclass(frozen=True, kw_only=True)
class Attribution(Node):
    """What the nodes of this file share: the estimator, the layout, and what it may look at: populations of subset models, groups, scouts."""

    estimator: Estimator
    model: Model
    layout: Layout
    subset_keys: Mapping[str, str]
    groups_key: str | None = None
    scout_key: str | None = None
    heldout_key: str | None = None

    def settings(self) -> dict[str, Any]:
        """See Node."""
        architecture = {"model": describe(self.model)} if self.scout_key else {}
        return {"estimator": describe(self.estimator), "layout": self.layout.model_dump(mode="json")} | architecture

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (self.model, self.estimator) if self.scout_key else (self.estimator,)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        beside = {"groups": self.groups_key, "heldout": self.heldout_key, "scout": self.scout_key}
        return {name: Parent(key) for name, key in {**self.subset_keys, **beside}.items() if key is not None}

    def evidence(self, work: Work) -> Evidence:
        """Return what the estimator learns from, beside outputs."""
        return Evidence(
            masks=np.concatenate([masks_of(work, name) for name in self.subset_keys]),
            heldout=masks_of(work, "heldout") if self.heldout_key else None,
            lines=read_lines(work) if self.groups_key else None,
            trained=self._checkpoints(work) if self.scout_key else None,
        )

    def _checkpoints(self, work: Work) -> Checkpoints:
        """Return the scouts, whose states are read if the estimator asks for them."""
        table, examples = work.inputs["scout"], work.examples
        build = Builder(self.model, examples.input_shape, examples.n_classes)
        return Checkpoints(build, lambda: read_states(work.store, table, 0, table.pieces[-1].stop), examples, work.device)

    def logits(self, work: Work, block: int) -> Logits:
        """Return the logits of a block, (n_models, n_block_points, n_classes)."""
        return np.concatenate([work.read(name, [column(block)])[column(block)] for name in self.subset_keys])

    def block(self, work: Work, number: int, values: Logits | Margins, models: Indices | slice = slice(None)) -> Block:
        """Return a block of logits or margins, of some models if they are named, as the outputs to learn, without what one seed's members share."""
        seeds = [work.read(name, ["seed"])["seed"] for name in self.subset_keys]
        populations = np.repeat(np.arange(len(seeds)), [len(part) for part in seeds])
        outputs = without_seed_effects(values.reshape(len(values), -1)[models], np.concatenate(seeds)[models], populations[models])
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
    """What is learnt of each output; unit b is block b of points. Rows are points: (n_points, n_classes, …) for logits, (n_points,) for margins."""

    stage: ClassVar[str] = "fit"
    unit: ClassVar[str] = "blocks"
    revision: ClassVar[int] = 2

    factor_key: str

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return super().parents() | {"factor": Parent(self.factor_key)}

    def compute(self, work: Work) -> Shard:
        """Fit the logits of each block, and its margins to predict those of held-out models."""
        factor, evidence = work.read("factor"), self.evidence(work)
        parts = [self._fit_block(work, block, factor, evidence) for block in range(work.start, work.stop)]
        return Shard(columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _fit_block(self, work: Work, number: int, factor: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
        logits = self.logits(work, number)
        fit = self.estimator.fit(factor, evidence, self.block(work, number, logits))
        columns = {name: values.reshape(*logits.shape[1:], *values.shape[1:]) for name, values in fit.items()}
        if evidence.heldout is not None:
            block = self.block(work, number, margins(logits, work.examples.labels[self.layout.points(number, work.examples.n_points)]))
            of_margins = self.estimator.fit(factor, evidence, block)
            columns |= {MARGIN_R2: of_margins["r2"]} if "r2" in self.estimator.scalars else {}
            columns[HELDOUT_MARGINS] = self.estimator.predict_heldout(factor, of_margins, evidence, block).T
        return columns


@dataclass(frozen=True, kw_only=True)
class Effect(Attribution):
    """The predicted change of every logit when one forget set is removed: rows are points, `mean` and `standard_error` (n_points, n_classes)."""

    stage: ClassVar[str] = "effect"
    unit: ClassVar[str] = "sets"
    revision: ClassVar[int] = 2

    factor_key: str
    fit_key: str
    forget_key: str

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return super().parents() | {"factor": Parent(self.factor_key), "fit": Parent(self.fit_key), "forget": Parent(self.forget_key, "content")}

    def compute(self, work: Work) -> Shard:
        """Stream the outputs once, one block in memory at a time."""
        factor, evidence, forget = work.read("factor"), self.evidence(work), work.read("forget")["index"]
        mean, standard_error = [], []
        for number in range(self.layout.n_blocks(work.examples.n_points)):
            logits, learnt = self.logits(work, number), work.store.read(work.inputs["fit"].part(number, number + 1))
            fit = {name: values.reshape(-1, *values.shape[2:]) for name, values in learnt.items() if name not in (MARGIN_R2, HELDOUT_MARGINS)}
            effect = self.estimator.datamodel(factor, fit, evidence, self.block(work, number, logits)).effect_of_removing(forget)
            mean.append(effect.mean.reshape(logits.shape[1:]))
            standard_error.append(effect.standard_error.reshape(logits.shape[1:]))
        return Shard(columns={"mean": np.concatenate(mean), "standard_error": np.concatenate(standard_error)})


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
            "r2_logits": float(fit["r2"].mean()) if has_r2 else None,
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
