"""What removing a forget set does to every output, as a node: the datamodels of all blocks asked once, for every unlearner to use."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.attribution import datamodel
from pipeline.attribution.estimator import Arrays
from pipeline.core.arrays import Indices
from pipeline.runtime.store import Shard
from pipeline.stages.fit import HELDOUT_MARGINS, MARGIN_R2, Attribution, Basis
from pipeline.stages.node import Parent, Work


@dataclass(frozen=True, kw_only=True)
class Effect(Attribution):
    """The predicted change of every logit when one forget set is removed: rows are points, `mean` and `standard_error` (n_points, n_classes)."""

    stage: ClassVar[str] = "effect"
    unit: ClassVar[str] = "sets"
    revision: ClassVar[int] = 3

    factor_key: str
    fit_key: str
    forget_key: str

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return super().parents() | {"factor": Parent(self.factor_key), "fit": Parent(self.fit_key), "forget": Parent(self.forget_key, "content")}

    def compute(self, work: Work) -> Shard:
        """Stream the outputs once, one block in memory at a time."""
        basis, forget = self.basis(work, work.read("factor")), work.read("forget")["index"]
        learnt = [name for name in work.store.columns(work.inputs["fit"]) if name not in (MARGIN_R2, HELDOUT_MARGINS)]
        mean, standard_error = [], []
        for number in range(self.layout.n_blocks(work.examples.n_points)):
            effect = self._effect(work, number, work.store.read(work.inputs["fit"].part(number, number + 1), learnt), basis, forget)
            mean.append(effect.mean)
            standard_error.append(effect.standard_error)
        shape = (work.examples.n_points, work.examples.n_classes)
        return Shard(columns={"mean": np.concatenate(mean).reshape(shape), "standard_error": np.concatenate(standard_error).reshape(shape)})

    def _effect(self, work: Work, number: int, learnt: Arrays, basis: Basis, forget: Indices) -> datamodel.Effect:
        fit = {name: values.reshape(-1, *values.shape[2:]) for name, values in learnt.items()}
        block = self.block(work, number, self.logits(work, number), basis)
        return self.estimator.datamodel(basis.factor, fit, basis.evidence, block).effect_of_removing(forget)
