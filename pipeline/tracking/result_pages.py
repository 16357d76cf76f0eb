"""The metrics, tables and figures that each child run shows, computed from the tables of its nodes."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.core.registry import describe
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import Score
from pipeline.graph.costs import spending_of
from pipeline.graph.graph import Graph, NodeState, states_of
from pipeline.graph.nodes.evaluate import Judged, VerdictNode, read_judged, split_ids
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.nodes.models import Models
from pipeline.graph.nodes.report import PAGE, ReportPage
from pipeline.graph.result_rows import Result, Spending, cost_of, snapshot_rows
from pipeline.results.tracked import Results
from pipeline.store.store import Store, TableRef
from pipeline.tracking.attribution_page import forget_curves
from pipeline.tracking.compute_cost import some, spent_on

# Accuracies are read from at most this many shards of a population, because each shard is a separate file.
MOST_SHARDS_READ = 256


def results_of(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> list[Result]:
    """Return the judges' results of each (unlearner, forget set), in the order of the config.

    Pairs that no judge has judged yet are left out.
    """
    experiment, spending = graph.experiment, spending_of(graph.experiment, graph.examples)
    verdicts = {
        (node.judge_label, node.method, node.forget_set): state
        for state in states.values()
        if isinstance(node := state.node, VerdictNode) and state.status == "done"
    }
    results = []
    for label in experiment.forget_sets:
        for name, unlearner in experiment.unlearners.items():
            found = {judge: verdicts.get((judge, name, label)) for judge in experiment.judges}
            judged = {
                judge: read_judged(store, state.table) for judge, state in found.items() if state is not None
            }
            if judged:
                cost = cost_of(unlearner, next(iter(judged.values())).samples, spending)
                snapshots = snapshot_rows(unlearner, judged, spending)
                result = Result(
                    unlearner=name,
                    forget_set=label,
                    judges=experiment.judges,
                    judged=judged,
                    cost=cost,
                    snapshots=snapshots,
                )
                results.append(result)
    return results


def result_rows(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> list[dict[str, Any]]:
    """Return one JSON-ready row for each judged (unlearner, forget set), in the order of the config."""
    return [result.to_json() for result in results_of(graph, store, states)]


def forget_results(graph: Graph, store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return a table for each forget set with the ids and class labels of its points."""
    labels, tables = graph.examples.labels, {}
    for state in states.values():
        ids = store.read(state.table)["index"]
        tables[str(state.node.forget_set)] = [
            {"id": int(index), "label": int(labels[index])} for index in ids
        ]
    return Results(
        version=version,
        metrics={f"n_points/{label}": float(len(rows)) for label, rows in tables.items()},
        tables=tables,
    )


def train_results(store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return the number of models, their accuracy and their cost for each population.

    The accuracy is not known if the models come from a source that has only margins.
    """
    rows: list[dict[str, Any]] = []
    for state in states.values():
        node = state.node
        if not isinstance(node, Models):
            continue
        accuracy = None
        if "accuracy_validation" in store.columns(state.table):
            seen = TableRef(state.table.folder, some(state.pieces, MOST_SHARDS_READ))
            accuracy = store.read(seen, ["accuracy_validation"])["accuracy_validation"]
        rows.append(
            {
                "population": _population(node),
                "role": node.role,
                "models": state.n_done,
                "validation_accuracy_mean": None if accuracy is None else float(accuracy.mean()),
                "validation_accuracy_min": None if accuracy is None else float(accuracy.min()),
                "core_seconds": round(spent_on(store, [state]).core_seconds, 2),
            }
        )
    known = {row["population"]: row["validation_accuracy_mean"] for row in rows}
    metrics = {
        f"validation_accuracy/{name}": accuracy for name, accuracy in known.items() if accuracy is not None
    }
    metrics |= {
        "models": float(sum(row["models"] for row in rows)),
        "core_seconds": float(sum(row["core_seconds"] for row in rows)),
    }
    return Results(version=version, metrics=metrics, tables={"populations": rows})


def _population(node: Models) -> str:
    """Return the name of a population in tables: its role, and its forget set if it belongs to one."""
    return node.role if node.forget_set is None else f"{node.role}/{node.forget_set}"


def summary_results(store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return the finite numbers in the summaries of tables, for a child run that no other function covers."""
    metrics = {}
    for state in states.values():
        for name, value in store.summary(state.table).items():
            if isinstance(value, int | float) and math.isfinite(value):
                metrics[f"{name}/{state.node.key}"] = float(value)
    return Results(version=version, metrics=metrics)


def verdict_results(
    graph: Graph, store: Store, version: str, verdict: VerdictNode, done: Mapping[str, NodeState]
) -> Results:
    """Return the verdicts of all judges on one method and one forget set.

    verdict is one of the nodes of this pair. Its method may be the floor, a second group of oracles.
    """
    name, forget_set, experiment = verdict.method, verdict.forget_set, graph.experiment
    states = states_of(done, VerdictNode, forget_set=forget_set, method=name)
    found = {node.judge_label: state for state in states if isinstance(node := state.node, VerdictNode)}
    verdicts = {label: found[label] for label in experiment.judges if label in found}
    judged = {label: read_judged(store, state.table) for label, state in verdicts.items()}
    spending = spending_of(experiment, graph.examples)
    metrics = {
        metric_name(label, score): score.value for label, one in judged.items() for score in one.scores
    }
    metrics |= {
        f"{count}_{label}": float(value)
        for label, one in judged.items()
        for count, value in one.scores.counts.items()
    }
    samples = next(iter(judged.values())).samples
    metrics["cost_samples"] = samples
    params: dict[str, Any] = {"forget_set": forget_set}
    if name in experiment.unlearners:
        params |= {"unlearner": describe(experiment.unlearners[name])}
        metrics["cost_fraction"] = spending.fraction(samples)
    ids = store.read(done[graph.get(Forget, forget_set=forget_set).key].table)["index"]
    points = {
        label: values
        for label, state in verdicts.items()
        if (values := _points(store, state, judged[label])) is not None
    }
    groups = split_ids(ids, graph.examples.n_train, graph.examples.n_points)
    return Results(
        version=version,
        params=params,
        metrics=metrics,
        curves=_snapshot_curves(judged, spending),
        tables={
            "scores": _score_rows(judged),
            "forget_points": _point_rows(points, ids),
            **_snapshot_tables(judged, spending),
        },
        figures={
            f"{label}_by_split": _drawn(
                experiment.judges[label], judged[label], {split: values[of] for split, of in groups.items()}
            )
            for label, values in points.items()
        },
    )


def metric_name(label: str, score: Score) -> str:
    """Return the name of a score in MLflow, `statistic_judge_split`.

    Equal parts appear once: if the judge's label is the name of the statistic, the name is not repeated.
    """
    return "_".join(dict.fromkeys((score.statistic, label, score.split)))


def _points(store: Store, state: NodeState, judged: Judged) -> np.ndarray | None:
    """Return a judge's first value of each point (n_points,), None if it gives no values of points."""
    column = judged.points_column
    return None if column is None else store.read(state.table, [column])[column].astype(np.float64)


def _score_rows(judged: Mapping[str, Judged]) -> list[dict[str, Any]]:
    """Return a row for each score."""
    return [
        {
            "judge": label,
            "statistic": score.statistic,
            "split": score.split,
            "value": score.value,
            "low": None if score.interval is None else score.interval[0],
            "high": None if score.interval is None else score.interval[1],
            "reference": score.reference,
            "better": score.better,
            "unit": score.unit,
        }
        for label, one in judged.items()
        for score in one.scores
    ]


def _snapshot_curves(judged: Mapping[str, Judged], spending: Spending) -> dict[str, dict[int, float]]:
    """Return the scores and costs of all snapshots as curves, {metric: {step: value}}.

    The step is the number of samples that each model had used for gradients at the snapshot.
    """
    curves: dict[str, dict[int, float]] = {}
    for label, one in judged.items():
        for snapshot in one.snapshots:
            step = round(snapshot.samples)
            curves.setdefault("snapshots/cost_fraction", {})[step] = spending.fraction(snapshot.samples)
            for score in snapshot.scores:
                curves.setdefault(f"snapshots/{metric_name(label, score)}", {})[step] = score.value
    return curves


def _snapshot_tables(judged: Mapping[str, Judged], spending: Spending) -> dict[str, list[dict[str, Any]]]:
    """Return a table with a row for each snapshot: its cost, and the main scores of each judge by split.

    The result is empty if there are no snapshots.
    """
    rows: dict[int, dict[str, Any]] = {}
    for label, one in judged.items():
        for number, snapshot in enumerate(one.snapshots):
            row = rows.setdefault(number, {"after": snapshot.after, "samples": snapshot.samples})
            row["cost_fraction"] = spending.fraction(snapshot.samples)
            headline = snapshot.scores.of(snapshot.scores.headline).values()
            row |= {metric_name(label, score): score.value for score in headline}
    return {"snapshots": list(rows.values())} if rows else {}


def _point_rows(points: Mapping[str, np.ndarray], ids: np.ndarray) -> list[dict[str, Any]]:
    """Return a row for each forgotten point with the values of all judges.

    The rows are sorted by the values of the first judge, highest first.
    """
    if not points:
        return []
    first = next(iter(points.values()))
    order = ids[np.argsort(-np.nan_to_num(first[ids], nan=-np.inf), kind="stable")]
    return [
        {"id": int(index), **{label: _number(values[index]) for label, values in points.items()}}
        for index in order
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _drawn(judge: Judge, judged: Judged, points: Mapping[str, np.ndarray]) -> bytes:
    # Imported here, because only a drawn figure needs matplotlib.
    from pipeline.show.figures.points_figure import points_figure
    from pipeline.show.figures.theme import png

    return png(
        points_figure(points, title=judge.title(str(judged.points_column)), unit=judged.scores.rows[0].unit)
    )


def report_results(graph: Graph, store: Store, version: str, done: Mapping[str, NodeState]) -> Results:
    """Return the results of the whole experiment: main scores of every judge, report page and its figures."""
    results, state = results_of(graph, store, done), done[graph.get(ReportPage).key]
    headlines = {
        (result.forget_set, result.unlearner): {
            metric_name(label, score): score.value
            for label, scores in result.scores.items()
            for score in scores.of(scores.headline).values()
        }
        for result in results
    }
    metrics = {
        f"{name}/{label}/{method}": value
        for (label, method), found in headlines.items()
        for name, value in found.items()
    }
    flat = [
        {"unlearner": result.unlearner, "forget_set": result.forget_set}
        | headlines[result.forget_set, result.unlearner]
        | dataclasses.asdict(result.cost)
        for result in results
    ]
    figures, page = figures_of(store, state), store.read_blob(state.table.folder, state.pieces[0].shard, PAGE)
    curves = forget_curves(graph, store, done)
    return Results(
        version=version,
        metrics=metrics,
        curves=curves,
        tables={"results": flat},
        figures=figures,
        files={"report.html": page},
    )


def figures_of(store: Store, state: NodeState) -> dict[str, bytes]:
    """Return the figures that are stored with the report page, as bytes of PNG by name."""
    folder, shard = state.table.folder, state.pieces[0].shard
    return {
        name.removesuffix(".png"): store.read_blob(folder, shard, name)
        for name in store.blob_names(folder, shard)
        if name.endswith(".png")
    }


def manifest(store: Store, states: Mapping[str, NodeState]) -> bytes:
    """Return the addresses and digests of the tables that a child run shows, as JSON.

    The tables stay in the store, so MLflow only refers to them.
    """
    tables = {
        key: {"uri": f"{store.uri}/{state.folder}", "digest": state.table.digest}
        for key, state in states.items()
    }
    return json.dumps(tables, indent=1).encode()
