"""The page of attribution in MLflow.

It shows LDS and its curve, R² on held-out models by block of points, the effects of forget sets, and the
training points that help and hurt examples.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.core.registry import describe
from pipeline.graph.graph import Graph, NodeState, states_of
from pipeline.graph.nodes.effect import EffectNode
from pipeline.graph.nodes.fit import ScoreNode
from pipeline.graph.nodes.forget_curve import ForgetCurve
from pipeline.graph.nodes.influences import ExampleInfluences, read_examples
from pipeline.graph.nodes.lds_curve import CurveNode
from pipeline.graph.reading.attribution_shown import curve_content
from pipeline.graph.reading.forecast import CLEAR
from pipeline.results.attribution_content import CurveContent
from pipeline.results.tracked import Results
from pipeline.store.store import Store, TableRef


def attribution_results(
    graph: Graph, store: Store, states: Mapping[str, NodeState], *, version: str
) -> Results:
    """Return the results that the child run of attribution shows, read from the tables of its nodes.

    Results that were not computed, such as LDS without held-out models, are left out.
    """
    scores, curves = states_of(states, ScoreNode), states_of(states, CurveNode)
    score = store.summary(scores[0].table) if scores else {}
    low, high = score.get("lds_interval", (None, None))
    metrics = {
        "lds": score.get("lds"),
        "lds_low": low,
        "lds_high": high,
        **{name: score.get(name) for name in ("r2_logits", "r2_margins", "r2_heldout")},
    }
    curve = curve_content(store.read(curves[0].table)) if curves else None
    tables = {
        "effects": _effects(store, states),
        "influences": _influences(graph, store, states),
        "r2_heldout": _r2_by_block(graph, score),
    }
    return Results(
        version=version,
        params=describe(graph.experiment.estimator),
        metrics={name: float(value) for name, value in metrics.items() if value is not None},
        curves={} if curve is None else _curves(curve),
        tables={name: rows for name, rows in tables.items() if rows},
        figures={} if curve is None else {"lds_by_models": _drawn(curve)},
    )


def _drawn(curve: CurveContent) -> bytes:
    # Imported here, because only a drawn figure needs matplotlib.
    from pipeline.show.figures.curve_figure import curve_figure
    from pipeline.show.figures.theme import png

    return png(curve_figure(curve))


def forget_curves(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> dict[str, dict[int, float]]:
    """Return, for each forget set, P95 KLoM in nats by the number of models that the datamodel learns from.

    The result is {metric: {number of models: value}}, for curves in MLflow. It is empty if the experiment
    does not compute this curve.
    """
    found = states_of(states, ForgetCurve)
    if not found:
        return {}
    columns = store.read(found[0].table)
    steps = [int(count) for count in columns["n_models"]]
    series = {
        f"p95_klom_forget_by_models/{label}": columns[f"set_{number}"].tolist()
        for number, label in enumerate(graph.experiment.forget_sets)
    }
    return {name: dict(zip(steps, values, strict=True)) for name, values in series.items()}


def _curves(curve: CurveContent) -> dict[str, dict[int, float]]:
    """Return LDS and the bounds of its interval as {metric: {number of models: value}}."""
    lows, highs = zip(*curve.intervals, strict=True)
    series = {"lds_by_models": curve.lds, "lds_by_models_low": lows, "lds_by_models_high": highs}
    return {name: dict(zip(curve.n_models, values, strict=True)) for name, values in series.items()}


def _effects(store: Store, states: Mapping[str, NodeState]) -> list[dict[str, Any]]:
    """Return one row for each forget set: how much the logits are predicted to change without the set.

    Standard errors are left out if they are not known.
    """
    return [
        {"forget_set": state.node.forget_set, **_effect(store, state.table)}
        for state in states_of(states, EffectNode)
    ]


def _effect(store: Store, table: TableRef) -> dict[str, float]:
    effect = store.read(table)
    change, error = np.abs(effect["mean"]), effect["standard_error"]
    size = {"largest_change": float(change.max()), "mean_change": float(change.mean())}
    if not np.isfinite(error).all():
        return size
    return size | {
        "mean_standard_error": float(error.mean()),
        "share_above_two_standard_errors": float((change > CLEAR * error).mean()),
    }


def _influences(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> list[dict[str, Any]]:
    """Return one row for each training point that helps or hurts an example of a forget set."""
    found = states_of(states, ExampleInfluences)
    if not found:
        return []
    columns, labels = store.read(found[0].table), graph.examples.labels
    return [
        {
            "forget_set": label,
            "point": one.point,
            "training_point": each.id,
            "label": int(labels[each.id]),
            "weight": each.weight,
            "standard_error": each.standard_error,
        }
        for number, label in enumerate(graph.experiment.forget_sets)
        for one in read_examples(columns, number)
        for each in (*one.found.helpful, *one.found.harmful)
    ]


def _r2_by_block(graph: Graph, score: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return R² on held-out models (explained share of variance), one row for each block of points."""
    layout, n_points = graph.experiment.store.layout, graph.examples.n_points
    spans = [layout.points(block, n_points) for block in range(layout.n_blocks(n_points))]
    values = score.get("r2_heldout_by_block", [])
    return [
        {"block": block, "first_point": span.start, "last_point": span.stop - 1, "r2_heldout": value}
        for block, (span, value) in enumerate(zip(spans, values, strict=False))
    ]
