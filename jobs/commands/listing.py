"""How answers look on a terminal: tables a person reads at a glance, on standard output."""

import os
import shlex
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from jobs.commands.options import DEBUG
from jobs.commands.progress import duration
from jobs.commands.verbs import RunResult
from jobs.session import Session
from pipeline.graph.result_rows import bounds_of, results_table
from pipeline.results.comparison_content import Comparison
from pipeline.show.comparison.comparison_tables import headline_table
from pipeline.show.comparison.comparison_words import headline
from pipeline.show.payback import focused_pays, proxies_counted
from pipeline.show.tables import Cell, Table, Tone, number_column, row_of, table_of, word_column
from pipeline.show.terminal import TerminalTable

FEEDS = {"resident": "held in memory by each task", "streamed": "streamed batch by batch", "open": "held in memory or streamed"}
# Tones of statuses; those later in the list stand for a group of which members differ.
TONES = {"done": Tone.GOOD, "partial": Tone.WARNING, "missing": Tone.NEW, "stale": Tone.OLD, "waiting": Tone.MUTED}


def show_run(result: RunResult, console: Console, session: Session) -> None:
    """Print the verdict table, what failed, and where to look next."""
    if result.results:
        bounds = bounds_of(session.experiment.unlearners)
        console.print(TerminalTable(results_table(result.results, bounds=bounds)))
    if result.attribution:
        low, high = result.attribution["lds_interval"]
        n_constant, n_flat = result.attribution["n_constant"], result.attribution["n_flat"]
        left = f" (margins that never vary, left out: {n_constant:,}; predicted not to vary, counted as 0: {n_flat:,})" if n_constant or n_flat else ""
        models = f"{result.attribution['n_heldout']} held-out subset models{left}"
        console.print(f"Datamodels: LDS {result.attribution['lds']:.3f} ({low:.3f} to {high:.3f}) on {models}")
    if result.verdict:
        console.print(result.verdict["summary"], style="bold")
        for label in session.experiment.forget_sets:
            console.print(f"  {label}: {result.verdict['headlines'][label]}.")
    show_failures(result, console)
    _show_ending(result, console, session)


def show_failures(result: RunResult, console: Console) -> None:
    """Print what failed or was left undone, and what to do."""
    for failure in result.failures:
        console.print(f"failed: {failure.key} {failure.start}-{failure.stop}: {failure.error}", style="red", soft_wrap=True)
        if failure.trace and os.environ.get(DEBUG) == "1":
            console.print(failure.trace, soft_wrap=True)
    if result.failures:
        console.print("Everything else is kept; mend the cause and run the same command again to make what failed.", style="yellow")
    if result.unfinished:
        console.print(f"Not finished: {', '.join(result.unfinished)}; run the same command again.", style="red")


def _show_ending(result: RunResult, console: Console, session: Session) -> None:
    if result.n_models_made:
        console.print(f"Trained or unlearned {result.n_models_made:,} models in {duration(result.seconds)}.")
    elif result.complete:
        computed = f"Computed {result.n_nodes_finished:,} tables; no model had to be trained" if result.n_nodes_finished else ""
        console.print(f"{computed or 'All done already: nothing had to be computed'} ({result.seconds:.1f} s).")
    if result.report:
        console.print(f"Report:  {result.report}", soft_wrap=True)
    if result.mlflow_run_id:
        console.print(f"MLflow:  run {result.mlflow_run_id}{_where_seen(result, session)}", soft_wrap=True)


def _where_seen(result: RunResult, session: Session) -> str:
    """Return where a run is looked at: a server has an address of its own, and a database elsewhere is named where the config named it."""
    uri, given = result.tracking_uri or "", session.experiment.tracking.uri
    named = f" --set {shlex.quote(f'tracking.uri={given}')}" if given else ""
    return f" at {uri}" if uri.startswith("http") else f"; see it with `dmm ui --store {shlex.quote(session.experiment.store.uri)}{named}`"


def show_recorded(result: dict[str, Any], console: Console) -> None:
    """Print the status of every experiment that was run in a store."""
    for experiment in result["experiments"]:
        title = f"{experiment['name']} (digest {experiment['digest']}) in store {result['store']}"
        show_status(experiment | {"store": result["store"]}, console, title=title)


def show_status(result: dict[str, Any], console: Console, *, title: str | None = None) -> None:
    """Print one row for each node, those of all forget sets together."""
    console.print(title or f"store {result['store']}", style="italic", soft_wrap=True)
    columns = (word_column("node"), word_column("status"), number_column("done"), number_column("wanted"), word_column("unit"))
    rows = [row_of(each["node"], each["status"], each["done"], each["wanted"], each["unit"]) for each in grouped(result["nodes"], ("done", "wanted"))]
    console.print(TerminalTable(table_of(columns, rows)))
    for shard in result.get("failed_shards", []):
        words = f"failed shard: {shard['node']} {shard['start']}-{shard['stop']}, given up after {shard['tries']} tries: {shard['error']}"
        console.print(words, style="red", soft_wrap=True)
    if result.get("nothing_there"):
        console.print(f"{result['nothing_there']}.", style="yellow", soft_wrap=True)
    for notice in result.get("notices", []):
        console.print(notice, style="yellow", soft_wrap=True)
    if not result["complete"]:
        console.print("`dmm run` computes whatever is not done; finished shards are kept.", style="dim")


def show_plan(result: dict[str, Any], console: Console) -> None:
    """Print what will be computed and what it costs."""
    console.print(f"plan for store {result['store']}", style="italic", soft_wrap=True)
    console.print(TerminalTable(_plan_table(result["nodes"])))
    for label, about in result["forget_sets"].items():
        console.print(f"forget/{label}: {_forget_set(about)}", soft_wrap=True)
    for told, stages in _feeds(result["feeds"]).items():
        console.print(f"Inputs for {' and '.join(stages)}: {told}.", soft_wrap=True)
    for notice in result["notices"]:
        console.print(notice, style="yellow")
    console.print(_left_to_make(result["retrainings"], result["models_to_unlearn"]))
    shared, focused = result["break_even_requests"], result["focused_retrainings"]
    if shared == 0:
        console.print("Break-even: what effects are predicted from was brought along and costs nothing here.")
    elif shared is not None:
        console.print(
            f"Break-even: the models that effects are learnt from cost {shared:,.0f} retrainings, which all requests "
            f"to forget share (here {result['requests']}). It takes at least {shared:,.0f} requests before that is "
            "cheaper than retraining for each; the report adds what unlearning costs.",
        )
    if result["proxies"]:
        console.print(proxies_counted(None, 0.0))
    if focused:
        console.print(focused_pays(focused, result["break_even_with_focused"], result["models_in_request"]))


def _left_to_make(retrainings: float, n_to_unlearn: int) -> str:
    """Return in words how much is left to train, and how many models are left to unlearn."""
    if not retrainings and not n_to_unlearn:
        return "No model is left to train or to unlearn."
    if not retrainings:
        return f"No model is left to train; left to unlearn: {n_to_unlearn:,}."
    amount = f"as much as {retrainings:,.1f} models" if retrainings >= 0.05 else "less than 0.1 models"
    on_top = f"; unlearning {n_to_unlearn:,} comes on top" if n_to_unlearn else ""
    return f"To train: {amount} on all points{on_top}."


def _feeds(feeds: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return how inputs reach the device in words, each with the stages that it holds for."""
    told: dict[str, list[str]] = {}
    for stage, about in feeds.items():
        told.setdefault(f"{FEEDS[about['feed']]} ({about['reason']})", []).append(f"`{stage}`")
    return told


def _plan_table(nodes: list[dict[str, Any]]) -> Table:
    columns = (
        word_column("node"),
        word_column("status"),
        number_column("exists"),
        number_column("to make"),
        number_column("retrainings", digits=1),
        number_column("core seconds", digits=1),
    )
    rows = []
    for each in grouped(nodes, ("done", "wanted", "retrainings", "seconds")):
        seconds = "?" if each["seconds"] is None else each["seconds"] or None
        to_make = each["wanted"] - each["done"]
        rows.append(row_of(each["node"], each["status"], each["done"], to_make, each["retrainings"] or None, seconds))
    return table_of(columns, rows)


def _forget_set(about: dict[str, Any] | None) -> str:
    """Return a forget set's size and first ids in words."""
    if about is None:
        return "its points are chosen once the models that the rule needs are trained"
    n_points, first = about["n_points"], ", ".join(map(str, about["first_ids"]))
    more = ", …" if n_points > len(about["first_ids"]) else ""
    return f"{n_points:,} point{'' if n_points == 1 else 's'}: {first}{more}"


def grouped(rows: list[dict[str, Any]], sums: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return rows with those that differ only in the forget set made one: counts added up, statuses told apart."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    merged = []
    for name, members in groups.items():
        counts = {key: None if any(row[key] is None for row in members) else sum(row[key] for row in members) for key in sums}
        statuses = [row["status"] for row in members]
        details = ([f"× {len(members)} sets"] if len(members) > 1 else []) + ([f"({members[0]['note']})"] if members[0].get("note") else [])
        node = Cell(value=name if len(members) > 1 else members[0]["node"], detail=" ".join(details)) if details else members[0]["node"]
        merged.append({"node": node, "status": _status(statuses), "unit": members[0]["unit"], **counts})
    return merged


def _status(statuses: list[str]) -> Cell:
    """Return the status of a group, or how many of its members have which."""
    each = {status: statuses.count(status) for status in statuses}
    text = ", ".join(status if len(each) == 1 else f"{count} {status}" for status, count in each.items())
    return Cell(value=text, tone=TONES[max(each, key=list(TONES).index)])


def show_verify(result: dict[str, Any], console: Console) -> None:
    """Print each bad file with its reason."""
    for problem in result["problems"]:
        console.print(f"{problem['path']}: {problem['reason']}", style="red", soft_wrap=True)
    if result["n_young"]:
        console.print(
            f"{result['n_young']} files that no shard refers to were left alone, being less than an hour old: a run may be about to finish or list them. "
            "Verify again an hour after the last run has ended.",
            style="yellow",
        )
    if not result["n_tables"]:
        console.print(f"No table is in {result['store']} yet, so there is nothing to check.", style="yellow", soft_wrap=True)
    elif not result["problems"]:
        every = "Every other file" if result["n_young"] else "Every file"
        console.print(f"{every} of {result['store']} is as it should be.", style="green", soft_wrap=True)
    elif result["quarantined"]:
        console.print(f"{len(result['quarantined'])} files were moved to {result['store']}/quarantine; {result['n_models_made']} models were made again.")
    else:
        console.print("`dmm verify --repair` sets these files aside and computes just their shards again.")


def show_klom(result: dict[str, Any], console: Console) -> None:
    """Print KLoM beside its floor, and what was left out or clipped."""
    floor = result["floor"]
    note = "with fewer than 4 oracles it is not known" if floor is None else floor["note"]
    columns = (word_column(), *(number_column(name, digits=3) for name in ("95th percentile", "mean")), number_column("models"))
    values = [Cell(value=result[name], interval=tuple(result[f"{name}_interval"])) for name in ("p95", "mean")]
    rows = [row_of("unlearned", *values, f"{result['n_unlearned']:,} and {result['n_oracles']:,}")]
    if floor is not None:
        n_models = f"{floor['n_models']:,} and {floor['n_models']:,}"
        rows.append(row_of("noise floor", floor["p95"], floor["mean"], n_models, tone=Tone.REFERENCE))
    caption = f"KLoM of {result['n_points']:,} points, in nats"
    notes = [f"Variant {result['variant']}. Beside values their 95 % intervals. Noise floor: {note}."]
    console.print(TerminalTable(table_of(columns, rows, caption=caption, notes=notes)))
    left_out = [f"{result[key]:,} {what}" for key, what in (("n_nonfinite", "not finite"), ("n_clipped", "clipped")) if result[key]]
    if left_out:
        console.print(f"Margins: {' and '.join(left_out)}.", style="yellow")


def show_klom_by_split(result: dict[str, Any], console: Console) -> None:
    """Print KLoM of a folder of models and oracles on each split, beside the floor of the oracles' halves."""
    what = f"forget set {result['forget_set']}, {result['n_unlearned']:,} models against {result['n_oracles']:,} oracles"
    numbers = (number_column(name, digits=4) for name in ("95th percentile", "noise floor", "mean"))
    columns = (word_column("split"), *numbers, number_column("points"))
    rows = []
    for split, found in result["splits"].items():
        p95, mean = (Cell(value=found[name], interval=tuple(found[f"{name}_interval"])) for name in ("p95", "mean"))
        floor = None if found["floor"] is None else found["floor"]["p95"]
        rows.append(row_of(split, p95, floor, mean, found["n_points"]))
    notes = [f"Variant {result['variant']}. Beside values their 95 % intervals. Noise floor: two disjoint halves of the oracles."]
    console.print(TerminalTable(table_of(columns, rows, caption=f"KLoM of {result['root']}, {what}, in nats", notes=notes)))
    left_out = sum(found["n_nonfinite"] for found in result["splits"].values())
    if left_out:
        console.print(f"Margins: {left_out:,} not finite.", style="yellow")


def show_comparison(content: Comparison, page: str, console: Console) -> None:
    """Print the headline of every method in every experiment beside its floor, what that says, and where the page is."""
    console.print(TerminalTable(headline_table(content)))
    console.print(headline(content), style="bold")
    console.print(f"Page:  {page}", soft_wrap=True)
