"""The training points that help and hurt single outputs.

A function computes them for any points. A node computes them for the examples that the report shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.evidence import Block
from pipeline.attribution.influential_points import Influence, Influences, Totals, influences
from pipeline.attribution.lds import explained
from pipeline.core.arrays import Effects, HeldoutOutputs, Indices, Outputs, PerPoint
from pipeline.core.errors import ConfigError
from pipeline.evaluation.margins import margin_slopes, margins
from pipeline.graph.logits_layout import block_margins, column, read_point_logits
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.attribution import Attribution, Basis
from pipeline.graph.nodes.effect import EffectNode
from pipeline.store.store import Shard

# Of each forget set, up to MOST_EXAMPLES points are shown. For each of them, up to _TOP training points that
# help and as many that hurt are shown.
MOST_EXAMPLES = 2
_TOP = 8


@dataclass(frozen=True, kw_only=True)
class PointInfluences:
    """The influences of training points on one output of a point.

    r2 is the share of that output's variance over held-out models that the datamodel explains; None if there
    are no such outputs.
    """

    point: int
    found: Influences
    r2: float | None


@dataclass(frozen=True, kw_only=True)
class ExampleInfluences(Attribution):
    """The influences on the margins of a few points of each forget set.

    Rows are influences. The columns are `set` (the place of the forget set in the config), `point` (the id of
    the forgotten point), `id` (that of the training point), `weight`, `standard_error` and `r2`.
    """

    stage: ClassVar[str] = EffectNode.stage
    title: ClassVar[str] = EffectNode.title
    unit: ClassVar[str] = "parts"
    revision: ClassVar[int] = 2

    factor_key: str
    forget_keys: tuple[str, ...]
    effect_keys: tuple[str, ...]

    @override
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"most_examples": MOST_EXAMPLES, "top": _TOP}

    @override
    def parents(self) -> dict[str, Parent]:
        sets = {f"forget/{number}": Parent(key, "content") for number, key in enumerate(self.forget_keys)}
        effects = {f"effect/{number}": Parent(key) for number, key in enumerate(self.effect_keys)}
        return super().parents() | {"factor": Parent(self.factor_key)} | sets | effects

    @override
    def compute(self, work: Work) -> Shard:
        """Choose the examples by their predicted effects, and attribute all their margins at once."""
        labels, chosen = work.examples.labels, []
        for number in range(len(self.forget_keys)):
            ids = work.read(f"forget/{number}")["index"]
            effect = work.read(f"effect/{number}", ["mean"])["mean"]
            chosen += [(number, point) for point in examples_of(ids, effect, labels[ids])]
        points = np.unique([point for _, point in chosen])
        found = {
            one.point: one
            for one in influences_of_points(self, work, points, top=min(_TOP, work.examples.n_train))
        }
        rows = [row for number, point in chosen for row in _rows(number, found[point])]
        return Shard(
            columns={
                name: np.array([row[name] for row in rows])
                for name in ("set", "point", "id", "weight", "standard_error", "r2")
            }
        )


def influences_of_points(
    node: Attribution, work: Work, points: Indices, *, top: int, output: int | None = None
) -> list[PointInfluences]:
    """Return the influences on the margin of each point, or on its logit of class `output`.

    work must read the inputs of node, which include the factor. Only the blocks of these points are read, and
    only these outputs are fitted. If there are datamodels of logits alone, margins are combined from them to
    first order. points are distinct. Raises DataError unless top is 1 to n_train, and ConfigError if logits
    are asked for and there are datamodels of margins only.
    """
    if output is not None and "logits" not in node.outputs:
        raise ConfigError(
            f"the logit of class {output} was requested, but this attribution covers margins only; "
            "request the margin"
        )
    basis = node.basis(work, work.read("factor"))
    block = _block_of(node, work, points, basis, of_margins=output is None and "margins" in node.outputs)
    fit = node.estimator.fit(basis.factor, basis.evidence, block)
    datamodel: Datamodel = node.estimator.datamodel(basis.factor, fit, basis.evidence, block)
    r2 = (
        _heldout_r2(
            node,
            work,
            block,
            node.estimator.predict_heldout(basis.factor, fit, basis.evidence, block),
            output,
        )
        if node.heldout_key
        else None
    )
    if output is None and block.per_point > 1:
        mean = block.outputs.mean(axis=0, dtype=np.float64).reshape(len(points), -1)
        datamodel = Totals(whole=datamodel, slopes=margin_slopes(mean, work.examples.labels[points]))
    outputs = (
        range(len(points))
        if output is None
        else range(output, len(points) * block.per_point, block.per_point)
    )
    found = influences(datamodel, top=top, outputs=outputs)
    return [
        PointInfluences(point=point, found=one, r2=None if r2 is None else float(r2[number]))
        for number, (point, one) in enumerate(zip(points.tolist(), found, strict=True))
    ]


def read_examples(columns: Mapping[str, np.ndarray], number: int) -> list[PointInfluences]:
    """Return the examples of a forget set, in the order in which they were chosen.

    columns are those of the node's table. number is the place of the set in the order of the config.
    """
    of_set = {name: values[columns["set"] == number] for name, values in columns.items()}
    points = list(dict.fromkeys(of_set["point"].tolist()))
    return [
        _example(point, {name: values[of_set["point"] == point] for name, values in of_set.items()})
        for point in points
    ]


def examples_of(ids: Indices, effect: Effects, labels: Indices) -> list[int]:
    """Return up to two points of a forget set, by the predicted change of the logit of their label.

    The first is the point whose logit falls most, the second has the median change. effect is (n_points,
    n_classes).
    """
    order = ids[np.argsort(effect[ids, labels], kind="stable")].tolist()
    return [order[0], order[len(order) // 2]][: min(MOST_EXAMPLES, len(order))]


def _block_of(node: Attribution, work: Work, points: Indices, basis: Basis, *, of_margins: bool) -> Block:
    """Return the margins of points, or the logits of all their classes, as one block.

    Each block of the table is read once.
    """
    numbers = points // node.layout.block_points
    parts: dict[int, Outputs] = {}
    per_point = 1
    for number in np.unique(numbers).tolist():
        inside = node.layout.points(number, work.examples.n_points)
        whole = node.block(
            work, number, node.margins(work, number) if of_margins else node.logits(work, number), basis
        )
        per_point = whole.per_point
        for point in points[numbers == number].tolist():
            start = (point - inside.start) * per_point
            parts[point] = whole.outputs[:, start : start + per_point]
    return Block(
        points=points,
        outputs=np.concatenate([parts[point] for point in points.tolist()], axis=1),
        per_point=per_point,
    )


def _heldout_r2(
    node: Attribution, work: Work, block: Block, predicted: HeldoutOutputs, output: int | None
) -> PerPoint | None:
    """Return R² of the margins of a block, or of its logits of class `output`, over held-out models.

    None if logits are asked for and only margins of held-out models were kept.
    """
    table, labels, size = work.inputs["heldout"], work.examples.labels, node.layout.block_points
    if output is None:
        numbers = np.unique(block.points // size).tolist()
        read = {number: block_margins(work.store, table, node.layout, number, labels) for number in numbers}
        actual = np.stack([read[point // size][:, point % size] for point in block.points.tolist()], axis=1)
        many = block.per_point > 1
        return explained(
            margins(predicted.reshape(*actual.shape, -1), labels[block.points]) if many else predicted, actual
        )
    if column(0) not in work.store.columns(table):
        return None
    logits = read_point_logits(work.store, table, node.layout, block.points)[:, :, output]
    return explained(predicted[:, output :: block.per_point], logits.astype(np.float32))


def _example(point: int, rows: Mapping[str, np.ndarray]) -> PointInfluences:
    found = [
        Influence(index, weight, None if np.isnan(error) else error)
        for index, weight, error in zip(
            rows["id"].tolist(), rows["weight"].tolist(), rows["standard_error"].tolist(), strict=True
        )
    ]
    helpful, harmful = (tuple(one for one in found if sign * one.weight > 0) for sign in (1, -1))
    r2 = float(rows["r2"][0])
    return PointInfluences(
        point=point, found=Influences(helpful=helpful, harmful=harmful), r2=None if np.isnan(r2) else r2
    )


def _rows(number: int, one: PointInfluences) -> list[dict[str, Any]]:
    about = {"set": number, "point": one.point, "r2": np.nan if one.r2 is None else one.r2}
    return [
        {
            **about,
            "id": each.id,
            "weight": each.weight,
            "standard_error": np.nan if each.standard_error is None else each.standard_error,
        }
        for each in (*one.found.helpful, *one.found.harmful)
    ]
