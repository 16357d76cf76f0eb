"""Attribution as nodes: the factor that all outputs share, the fit block by block, and its score on held-out subset models."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.attribution.estimator import Estimator
from pipeline.attribution.lds import lds
from pipeline.core.arrays import HeldoutMasks, Masks
from pipeline.core.registry import Plugin, describe
from pipeline.data.masks import unpack
from pipeline.evaluation.margins import margins
from pipeline.runtime.store import Shard
from pipeline.stages.layout import Layout, column, read_margins
from pipeline.stages.node import Node, Parent, Work


@dataclass(frozen=True, kw_only=True)
class Attribution(Node):
    """What the nodes of this file share: the estimator, the layout and the subset models it learns from."""

    estimator: Estimator
    layout: Layout
    subset_key: str

    def settings(self) -> dict[str, Any]:
        """See Node."""
        return {"estimator": describe(self.estimator), "layout": self.layout.model_dump(mode="json")}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (self.estimator,)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"subset": Parent(self.subset_key)}

    def masks(self, work: Work, name: str = "subset") -> Masks:
        """Return the masks (n_models, n_train) of a population."""
        return unpack(work.read(name, ["mask"])["mask"], work.examples.n_train)


@dataclass(frozen=True, kw_only=True)
class Factor(Attribution):
    """What all outputs share, computed once."""

    stage: ClassVar[str] = "factor"
    unit: ClassVar[str] = "parts"

    def compute(self, work: Work) -> Shard:
        """Factor the masks."""
        return Shard(columns=self.estimator.factor(self.masks(work)))


@dataclass(frozen=True, kw_only=True)
class Fit(Attribution):
    """What is learnt of each output; unit b is block b of points. Rows are points: (n_points, n_classes) for logits, (n_points,) for margins."""

    stage: ClassVar[str] = "fit"
    unit: ClassVar[str] = "blocks"

    factor_key: str
    heldout_key: str | None

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        heldout = {"heldout": Parent(self.heldout_key)} if self.heldout_key else {}
        return super().parents() | {"factor": Parent(self.factor_key)} | heldout

    def compute(self, work: Work) -> Shard:
        """Fit the logits of each block, and its margins to predict those of held-out models."""
        factor, masks = work.read("factor"), self.masks(work)
        heldout = self.masks(work, "heldout") if self.heldout_key else None
        parts = [self._fit_block(work, block, factor, masks, heldout) for block in range(work.start, work.stop)]
        return Shard(columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _fit_block(self, work: Work, block: int, factor: dict[str, np.ndarray], masks: Masks, heldout: HeldoutMasks | None) -> dict[str, np.ndarray]:
        points = self.layout.points(block, work.examples.n_points)
        logits = work.read("subset", [column(block)])[column(block)]
        n_models, n_points, n_classes = logits.shape
        fit = self.estimator.fit(factor, masks, logits.reshape(n_models, -1))
        columns = {name: values.reshape(n_points, n_classes) for name, values in fit.items()}
        if heldout is not None:
            outputs = margins(logits, work.examples.labels[points])
            of_margins = self.estimator.fit(factor, masks, outputs)
            columns["margin_r2"] = of_margins["r2"]
            columns["heldout_margins"] = self.estimator.datamodel(factor, of_margins, masks, outputs).predict(heldout).T
        return columns


@dataclass(frozen=True, kw_only=True)
class Effect(Attribution):
    """The predicted change of every logit when one forget set is removed: rows are points, `mean` and `standard_error` (n_points, n_classes)."""

    stage: ClassVar[str] = "effect"
    unit: ClassVar[str] = "sets"

    factor_key: str
    fit_key: str
    forget_key: str

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return super().parents() | {"factor": Parent(self.factor_key), "fit": Parent(self.fit_key), "forget": Parent(self.forget_key, "content")}

    def compute(self, work: Work) -> Shard:
        """Stream the outputs once, one block in memory at a time."""
        factor, masks, forget = work.read("factor"), self.masks(work), work.read("forget")["index"]
        scalars = {name: values for name, values in work.read("fit").items() if not name.startswith(("heldout", "margin"))}
        mean, standard_error = [], []
        for block in range(self.layout.n_blocks(work.examples.n_points)):
            points = self.layout.points(block, work.examples.n_points)
            outputs = work.read("subset", [column(block)])[column(block)]
            fit = {name: values[points].reshape(-1) for name, values in scalars.items()}
            effect = self.estimator.datamodel(factor, fit, masks, outputs.reshape(len(outputs), -1)).effect_of_removing(forget)
            mean.append(effect.mean.reshape(outputs.shape[1:]))
            standard_error.append(effect.standard_error.reshape(outputs.shape[1:]))
        return Shard(columns={"mean": np.concatenate(mean), "standard_error": np.concatenate(standard_error)})


@dataclass(frozen=True, kw_only=True)
class Score(Attribution):
    """How well the datamodel predicts models it has not seen: LDS of margins on the held-out population, with its interval."""

    stage: ClassVar[str] = "score"
    unit: ClassVar[str] = "parts"

    fit_key: str
    heldout_key: str

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"fit": Parent(self.fit_key), "heldout": Parent(self.heldout_key)}

    def compute(self, work: Work) -> Shard:
        """Correlate predicted with actual margins, point by point."""
        fit = work.read("fit")
        actual = read_margins(work.store, work.inputs["heldout"], self.layout, work.examples.labels)
        score = lds(predicted=fit["heldout_margins"].T, actual=actual)
        summary = {
            "lds": score.mean,
            "lds_interval": list(score.interval),
            "n_constant": score.n_constant,
            "r2_logits": float(fit["r2"].mean()),
            "r2_margins": float(fit["margin_r2"].mean()),
            "medians": {name: float(np.median(values)) for name, values in fit.items() if name != "heldout_margins"},
            "n_heldout": len(actual),
        }
        return Shard(columns={"margin_r2": fit["margin_r2"]}, summary=summary)
