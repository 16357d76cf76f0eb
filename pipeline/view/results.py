"""The metrics, tables and figures of each child run, from the tables of its nodes."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.accounts import spending_of
from pipeline.core.registry import describe
from pipeline.graph import Graph, NodeState
from pipeline.runtime.store import Store, TableRef
from pipeline.runtime.tracker import Results
from pipeline.stages.evaluate import FLOOR, SPLITS, Verdict, split_ids
from pipeline.stages.forget import Forget
from pipeline.stages.models import Models
from pipeline.stages.report import PAGE, ReportPage
from pipeline.stages.results import result_row
from pipeline.view.attribution import forget_curves
from pipeline.view.spent import some, spent_on

# Accuracies are read from this many shards of a population at most: each is a file of its own.
MOST_SHARDS_READ = 256


def result_rows(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> list[dict[str, Any]]:
    """Return one row for each (unlearner, forget set) that was judged, in the order of the config."""
    spending = spending_of(graph.experiment, graph.examples)
    rows = []
    verdicts = {(node.method, node.forget_set): states[key] for key, node in graph.nodes.items() if isinstance(node, Verdict)}
    for label in graph.experiment.forget_sets:
        floor = verdicts[FLOOR, label]
        for name, unlearner in graph.experiment.unlearners.items():
            verdict = verdicts[name, label]
            if verdict.status == "done" and floor.status == "done":
                about, beside = store.summary(verdict.table), store.summary(floor.table)
                rows.append(result_row(label=name, unlearner=unlearner, forget_set=label, verdict=about, floor=beside, spending=spending))
    return rows


def forget_results(graph: Graph, store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return the ids and labels of each forget set."""
    labels, tables = graph.examples.labels, {}
    for state in states.values():
        ids = store.read(state.table)["index"]
        tables[str(state.node.forget_set)] = [{"id": int(index), "label": int(labels[index])} for index in ids]
    return Results(version=version, metrics={f"n_points/{label}": float(len(rows)) for label, rows in tables.items()}, tables=tables)


def train_results(store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return how many models of each population there are, how well they do and what they cost."""
    rows: list[dict[str, Any]] = []
    for state in states.values():
        node = state.node
        if not isinstance(node, Models):
            continue
        if "accuracy_validation" not in store.columns(state.table):
            continue  # models trained elsewhere that left margins only
        seen = TableRef(state.table.folder, some(state.pieces, MOST_SHARDS_READ))
        accuracy = store.read(seen, ["accuracy_validation"])["accuracy_validation"]
        rows.append(
            {
                "population": _population(node),
                "role": node.role,
                "models": state.n_done,
                "validation_accuracy_mean": float(accuracy.mean()),
                "validation_accuracy_min": float(accuracy.min()),
                "core_seconds": round(spent_on(store, [state]).core_seconds, 2),
            }
        )
    metrics = {f"validation_accuracy/{row['population']}": row["validation_accuracy_mean"] for row in rows}
    metrics |= {"models": float(sum(row["models"] for row in rows)), "core_seconds": float(sum(row["core_seconds"] for row in rows))}
    return Results(version=version, metrics=metrics, tables={"populations": rows})


def _population(node: Models) -> str:
    """Return what tables call a population: its role, and its forget set if it belongs to one."""
    return node.role if node.forget_set is None else f"{node.role}/{node.forget_set}"


def summary_results(store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return the finite numbers in the summaries of tables, for a child that has no page of its own kind."""
    metrics = {}
    for state in states.values():
        for name, value in store.summary(state.table).items():
            if isinstance(value, int | float) and math.isfinite(value):
                metrics[f"{name}/{state.node.key}"] = float(value)
    return Results(version=version, metrics=metrics)


def verdict_results(graph: Graph, store: Store, version: str, verdict: Verdict, done: Mapping[str, NodeState]) -> Results:
    """Return how far one method, or the noise floor, is from retraining on one forget set."""
    name, label, table = verdict.method, verdict.forget_set, done[verdict.key].table
    about, klom = store.summary(table), store.read(table)["klom"]
    metrics = {f"{statistic}_klom_{split}": about[statistic][split] for statistic in ("p95", "mean") for split in SPLITS}
    metrics |= {f"accuracy_{split}": about["accuracy"][split] for split in SPLITS}
    metrics |= {"nonfinite_margins": about["n_nonfinite"], "cost_samples": about["samples"]}
    params: dict[str, Any] = {"forget_set": label}
    if name in graph.experiment.unlearners:
        params |= {"unlearner": describe(graph.experiment.unlearners[name])}
        metrics["cost_fraction"] = spending_of(graph.experiment, graph.examples).fraction(about["samples"])
    ids = store.read(done[graph.get(Forget, forget_set=label).key].table)["index"]
    points = [{"id": int(index), "klom": float(klom[index])} for index in ids[np.argsort(-klom[ids])]]
    groups = split_ids(ids, graph.examples.n_train, graph.examples.n_points)
    figure = _drawn({split: klom[members] for split, members in groups.items()})
    return Results(version=version, params=params, metrics=metrics, tables={"forget_points": points}, figures={"klom_by_split": figure})


def _drawn(klom: Mapping[str, np.ndarray]) -> bytes:
    # Matplotlib is imported by whoever draws.
    from pipeline.reporting.klom_figure import klom_figure
    from pipeline.reporting.theme import png

    return png(klom_figure(klom))


def report_results(graph: Graph, store: Store, version: str, done: Mapping[str, NodeState]) -> Results:
    """Return what the whole experiment came to: the results, the page and its figures."""
    rows, state = result_rows(graph, store, done), done[graph.get(ReportPage).key]
    metrics = {f"p95_klom_{split}/{row['forget_set']}/{row['unlearner']}": row[split] for row in rows for split in SPLITS}
    flat = [{**{name: row[name] for name in ("unlearner", "forget_set", *SPLITS)}, **row["cost"]} for row in rows]
    figures, page = figures_of(store, state), store.read_blob(state.table.folder, state.pieces[0].shard, PAGE)
    curves = forget_curves(graph, store, done)
    return Results(version=version, metrics=metrics, curves=curves, tables={"results": flat}, figures=figures, files={"report.html": page})


def figures_of(store: Store, state: NodeState) -> dict[str, bytes]:
    """Return the figures beside a page, PNG by name."""
    folder, shard = state.table.folder, state.pieces[0].shard
    return {name.removesuffix(".png"): store.read_blob(folder, shard, name) for name in store.blob_names(folder, shard) if name.endswith(".png")}


def manifest(store: Store, states: Mapping[str, NodeState]) -> bytes:
    """Return where the tables behind a child run are: the store keeps them, MLflow points to them."""
    tables = {key: {"uri": f"{store.uri}/{state.folder}", "digest": state.table.digest} for key, state in states.items()}
    return json.dumps(tables, indent=1).encode()
