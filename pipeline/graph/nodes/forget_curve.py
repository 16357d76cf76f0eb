"""The node that shows whether more subset models would forget better.

Datamodels are fitted to ever larger shares of the models. The effect that each predicts is added to the
outputs of the full models (the method DM-Direct), and KLoM compares the result with oracles. The LDS curve
needs no oracles, so it is a node of its own, `curve`, which does not wait for them.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.attribution.corrections.guided import guided
from pipeline.attribution.datamodel import Effect
from pipeline.attribution.evidence import Evidence
from pipeline.core.arrays import Effects, Indices, Margins, PerOutput
from pipeline.core.registry import identity
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.klom import klom
from pipeline.evaluation.margins import margins
from pipeline.graph.child_run import ChildRun
from pipeline.graph.logits_layout import read_point_logits, read_point_margins
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.evaluate import VerdictNode
from pipeline.graph.nodes.lds_curve import SHARES, CurveNode, first_members
from pipeline.graph.reading.guide_effects import guide_means
from pipeline.store.store import Shard


@dataclass(frozen=True, kw_only=True)
class ForgetCurve(CurveNode):
    """P95 KLoM of forgotten points, in nats, against the number of models; unit i is share i.

    Columns are `n_models`, and `set_0`, `set_1`, … in the order of the forget sets, because a label may not
    be the name of a column. `nothing_0`, … are the values of the full models, without any unlearning.
    forget_keys, effect_keys and oracle_keys have the order of the forget sets too.
    """

    stage: ClassVar[str] = VerdictNode.stage
    title: ClassVar[str] = VerdictNode.title
    entry: ClassVar[str] = VerdictNode.entry
    revision: ClassVar[int] = 1

    judge: KlomJudge
    full_key: str
    forget_keys: tuple[str, ...]
    effect_keys: tuple[str, ...]
    oracle_keys: tuple[str, ...]
    guide_key: str | None = None

    @property
    @override
    def child(self) -> ChildRun | None:
        """None: the curve judges no single method, so the parent run shows it."""
        return None

    @override
    def settings(self) -> dict[str, Any]:
        rule = {name: value for name, value in identity(self.judge).items() if name != "name"}
        return super().settings() | {"evaluation": rule}

    @override
    def parents(self) -> dict[str, Parent]:
        found = (
            super().parents()
            | {"full": Parent(self.full_key)}
            | ({"guide": Parent(self.guide_key)} if self.guide_key else {})
        )
        for number, key in enumerate(self.forget_keys):
            found[f"forget_{number}"] = Parent(key, "content")
            found[f"effect_{number}"] = Parent(self.effect_keys[number])
            found[f"oracle_{number}"] = Parent(self.oracle_keys[number])
        return found

    @override
    def compute(self, work: Work) -> Shard:
        """Predict effects with each share of the models, and compute KLoM.

        For the share 1, the predicted effects are read from their tables.
        """
        rows = [self._judge(work, share) for share in SHARES[work.start : work.stop]]
        return Shard(columns={name: np.array([row[name] for row in rows]) for name in rows[0]})

    def _judge(self, work: Work, share: float) -> dict[str, float]:
        members, labels = first_members(work, self.subset_keys, share), work.examples.labels
        sets = [work.read(f"forget_{number}")["index"] for number in range(len(self.forget_keys))]
        effects = (
            self._predict_sets(work, members, sets)
            if share < 1
            else [work.read(f"effect_{i}", ["mean"])["mean"][ids] for i, ids in enumerate(sets)]
        )
        row = {"n_models": float(len(members))}
        for number, (ids, effect) in enumerate(zip(sets, effects, strict=True)):
            oracle = read_point_margins(work.store, work.inputs[f"oracle_{number}"], self.layout, labels, ids)
            full = read_point_logits(work.store, work.inputs["full"], self.layout, ids)
            row[f"set_{number}"] = self._p95(margins(full + effect.astype(np.float32), labels[ids]), oracle)
            row[f"nothing_{number}"] = self._p95(margins(full, labels[ids]), oracle)
        return row

    def _p95(self, unlearned: Margins, oracle: Margins) -> float:
        return float(
            np.percentile(klom(unlearned=unlearned, oracle=oracle, **self.judge.rule._asdict()).values, 95)
        )

    def _predict_sets(self, work: Work, members: Indices, sets: list[Indices]) -> list[Effects]:
        """Return the effect of removing each set on the logits of its own points, (n_forget, n_classes)."""
        basis, n_classes = self._basis(work, members), work.examples.n_classes
        means, errors = ([np.zeros((len(ids), n_classes)) for ids in sets] for _ in range(2))
        for number in np.unique(np.concatenate(sets) // self.layout.block_points).tolist():
            block = self.block(work, number, self.logits(work, number)[members], basis)
            datamodel = self.estimator.datamodel(
                basis.factor, self.estimator.fit(basis.factor, basis.evidence, block), basis.evidence, block
            )
            for which, ids in enumerate(sets):
                here = ids // self.layout.block_points == number
                if here.any():
                    effect, rows = (
                        datamodel.effect_of_removing(ids),
                        ids[here] - number * self.layout.block_points,
                    )
                    means[which][here] = effect.mean.reshape(-1, n_classes)[rows]
                    errors[which][here] = effect.standard_error.reshape(-1, n_classes)[rows]
        return [
            self._drawn(work, Effect(mean.ravel(), error.ravel()), ids).reshape(mean.shape)
            for mean, error, ids in zip(means, errors, sets, strict=True)
        ]

    def _drawn(self, work: Work, effect: Effect, ids: Indices) -> PerOutput:
        """Return an effect on a set's own logits, drawn towards the guide if there is one."""
        guide = self.estimator.guided_by()
        if guide is None:
            return effect.mean
        checkpoints = self.checkpoints(work)
        evidence = Evidence(
            masks=np.ones((checkpoints.n_models, work.examples.n_train), dtype=bool), trained=checkpoints
        )
        means = guide_means(guide, work.read("guide"), evidence, ids, ids)
        return guided(effect, means, forgotten=np.ones(len(means), bool), curvature=guide.curvature).mean
