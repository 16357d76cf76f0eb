"""The node of predicted effects: what the removal of a forget set does to every output.

It is computed once and used by every unlearner.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.datamodel import Effect as PredictedEffect
from pipeline.attribution.estimator import HELDOUT_MARGINS, MARGIN_R2
from pipeline.core.errors import DataError
from pipeline.core.registry import Plugin, plugin_name
from pipeline.core.settings.type_hints import describe_value, fits
from pipeline.data.examples import Examples
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.attribution import Attribution
from pipeline.graph.reading.focused_contrasts import corrected
from pipeline.graph.reading.guide_effects import drawn_to_guide
from pipeline.store.store import Shard


@dataclass(frozen=True, kw_only=True)
class Fitted(Attribution):
    """The base of nodes that read fitted datamodels."""

    factor_key: str
    fit_key: str

    @override
    def parents(self) -> dict[str, Parent]:
        return super().parents() | {"factor": Parent(self.factor_key), "fit": Parent(self.fit_key)}

    def datamodels(self, work: Work) -> Iterator[tuple[slice, Datamodel]]:
        """Yield the points of each block and the datamodel of their logits, one block in memory at a time."""
        basis, n_points = self.basis(work, work.read("factor")), work.examples.n_points
        learnt = [
            name
            for name in work.store.columns(work.inputs["fit"])
            if name not in (MARGIN_R2, HELDOUT_MARGINS)
        ]
        for number in range(self.layout.n_blocks(n_points)):
            fit = work.store.read(work.inputs["fit"].part(number, number + 1), learnt)
            flat = {name: values.reshape(-1, *values.shape[2:]) for name, values in fit.items()}
            block = self.block(work, number, self.logits(work, number), basis)
            yield (
                self.layout.points(number, n_points),
                self.estimator.datamodel(basis.factor, flat, basis.evidence, block),
            )


@dataclass(frozen=True, kw_only=True)
class EffectNode(Fitted):
    """The predicted change of every logit when one forget set is removed.

    Rows are points; the columns are `mean` and `standard_error` (n_points, n_classes).

    Standard errors are NaN if the estimator gives none. guide_key is the key of the table with the factor of
    the estimator's guide, if it has one. focused_keys are the keys of the models trained with and without the
    set, if there are any; they correct the prediction.
    """

    stage: ClassVar[str] = "effect"
    title: ClassVar[str] = "predict effects"
    unit: ClassVar[str] = "sets"
    revision: ClassVar[int] = 3

    forget_key: str
    guide_key: str | None = None
    focused_keys: Mapping[str, str] = field(default_factory=dict)

    @override
    def parents(self) -> dict[str, Parent]:
        focused = {name: Parent(key) for name, key in self.focused_keys.items()}
        guide = {"guide": Parent(self.guide_key)} if self.guide_key else {}
        return super().parents() | {"forget": Parent(self.forget_key, "content")} | guide | focused

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        guide = self.estimator.guided_by()
        return (*((guide.estimator,) if guide else ()), *super().plugins())

    @override
    def compute(self, work: Work) -> Shard:
        """Predict the effects, then correct them by a guide and by focused models, if there are any."""
        forget = work.read("forget")["index"]
        found = [datamodel.effect_of_removing(forget) for _, datamodel in self.datamodels(work)]
        self._check(found, work.examples)
        effect = PredictedEffect(
            *(np.concatenate([getattr(part, name) for part in found]) for name in ("mean", "standard_error"))
        )
        guide = self.estimator.guided_by()
        if guide is not None:
            effect = drawn_to_guide(work, self.layout, guide, self.checkpoints(work), effect, forget)
        if self.focused_keys:
            effect = corrected(work, self.layout, effect, forget)
        shape = (work.examples.n_points, work.examples.n_classes)
        return Shard(
            columns={
                "mean": effect.mean.reshape(shape),
                "standard_error": effect.standard_error.reshape(shape),
            }
        )

    def _check(self, found: list[PredictedEffect], examples: Examples) -> None:
        """Raise DataError unless the effects of all blocks are finite numbers, one for each logit."""
        name, n_found = plugin_name(self.estimator), 0
        for part in found:
            if not isinstance(part, PredictedEffect) or not all(
                fits(value, np.ndarray) for value in (part.mean, part.standard_error)
            ):
                raise DataError(
                    f"estimator {name!r}: effect_of_removing() returned {describe_value(part)}; expected an "
                    "Effect of two arrays"
                )
            if (
                part.mean.ndim != 1
                or part.mean.shape != part.standard_error.shape
                or not np.isfinite(part.mean).all()
            ):
                raise DataError(
                    f"estimator {name!r}: an effect's mean is {describe_value(part.mean)}; expected a finite "
                    "number for each output"
                )
            n_found += len(part.mean)
        if n_found != examples.n_points * examples.n_classes:
            raise DataError(
                f"estimator {name!r}: {n_found} effects for {examples.n_points * examples.n_classes} logits; "
                "expected one for each"
            )
