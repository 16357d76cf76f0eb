"""The metrics, tables and figures of each child run, from the tables of its nodes."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.accounts import spending_of
from pipeline.core.registry import describe
from pipeline.graph import Graph, NodeState
from pipeline.runtime.store import Store, TableRef
from pipeline.runtime.tracker import Results
from pipeline.stages.evaluate import SPLITS, Verdict, read_judged, split_ids
from pipeline.stages.report import PAGE
from pipeline.stages.results import Result, cost_of
from pipeline.view.attribution import forget_curves
from pipeline.view.spent import some, spent_on

# Accuracies are read from this many shards of a population at most: each is a file of its own.
MOST_SHARDS_READ = 256


def results_of(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> list[Result]:
    """Return what judges say of each (unlearner, forget set), in the order of the config; what no judge has judged yet is left out."""
    experiment, spending = graph.experiment, spending_of(graph.experiment, graph.examples)
    verdicts = {
        (node.judge_label, node.method, node.forget_set): state
        for state in states.values()
        if isinstance(node := state.node, Verdict) and state.status == "done"
    }
    results = []
    for label in experiment.forget_sets:
        for name, unlearner in experiment.unlearners.items():
            found = {judge: verdicts.get((judge, name, label)) for judge in experiment.judges}
            judged = {judge: read_judged(store, state.table) for judge, state in found.items() if state is not None}
            if judged:
                cost = cost_of(unlearner, next(iter(judged.values())).samples, spending)
                results.append(Result(unlearner=name, forget_set=label, judges=experiment.judges, judged=judged, cost=cost))
    return results


def result_rows(graph: Graph, store: Store, states: Mapping[str, NodeState]) -> list[dict[str, Any]]:
    """Return one row for each (unlearner, forget set) that was judged, JSON-ready, in the order of the config."""
    return [result.to_json() for result in results_of(graph, store, states)]


def forget_results(graph: Graph, store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return the ids and labels of each forget set."""
    labels, tables = graph.examples.labels, {}
    for key, state in states.items():
        ids = store.read(state.table)["index"]
        tables[key.removeprefix("forget/")] = [{"id": int(index), "label": int(labels[index])} for index in ids]
    return Results(version=version, metrics={f"n_points/{label}": float(len(rows)) for label, rows in tables.items()}, tables=tables)


def train_results(store: Store, version: str, states: Mapping[str, NodeState]) -> Results:
    """Return how many models of each population there are, how well they do and what they cost."""
    rows: list[dict[str, Any]] = []
    for key, state in states.items():
        if "accuracy_validation" not in store.columns(state.table):
            continue  # models trained elsewhere that left margins only
        seen = TableRef(state.table.folder, some(state.pieces, MOST_SHARDS_READ))
        accuracy = store.read(seen, ["accuracy_validation"])["accuracy_validation"]
        rows.append(
            {
                "population": key.removeprefix("train/"),
                "models": state.n_done,
                "validation_accuracy_mean": float(accuracy.mean()),
                "validation_accuracy_min": float(accuracy.min()),
                "core_seconds": round(spent_on(store, [state]).core_seconds, 2),
            }
        )
    metrics = {f"validation_accuracy/{row['population']}": row["validation_accuracy_mean"] for row in rows}
    metrics |= {"models": float(sum(row["models"] for row in rows)), "core_seconds": float(sum(row["core_seconds"] for row in rows))}
    return Results(version=version, metrics=metrics, tables={"populations": rows})


def verdict_results(graph: Graph, store: Store, version: str, child: str, done: Mapping[str, NodeState]) -> Results:
    """Return how far one method, or the noise floor, is from retraining on one forget set."""
    name, label = child.split("/", 1)
    about, klom = store.summary(done[f"evaluate/{child}"].table), store.read(done[f"evaluate/{child}"].table)["klom"]
    metrics = {f"{statistic}_klom_{split}": about[statistic][split] for statistic in ("p95", "mean") for split in SPLITS}
    metrics |= {f"accuracy_{split}": about["accuracy"][split] for split in SPLITS}
    metrics |= {"nonfinite_margins": about["n_nonfinite"], "cost_samples": about["samples"]}
    params: dict[str, Any] = {"forget_set": label}
    if name in graph.experiment.unlearners:
        params |= {"unlearner": describe(graph.experiment.unlearners[name])}
        metrics["cost_fraction"] = spending_of(graph.experiment, graph.examples).fraction(about["samples"])
    ids = store.read(done[f"forget/{label}"].table)["index"]
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
    rows, state = result_rows(graph, store, done), done["report"]
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
