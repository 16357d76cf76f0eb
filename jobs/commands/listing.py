"""How answers look on a terminal: tables a person reads at a glance, on standard output."""

import os
import shlex
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.commands.options import DEBUG
from jobs.commands.progress import duration
from jobs.commands.verbs import RunResult
from jobs.session import Session
from pipeline.reporting.attribution_words import constant_words
from pipeline.reporting.comparison_content import Comparison
from pipeline.reporting.comparison_words import headline
from pipeline.reporting.payback import focused_pays

COLOURS = {"done": "green", "partial": "yellow", "missing": "cyan", "stale": "magenta", "waiting": "dim"}


def show_run(result: RunResult, console: Console, session: Session) -> None:
    """Print the verdict table, what failed, and where to look next."""
    if result.results:
        console.print(_results_table(result.results))
        console.print(
            "KLoM in nats, 95th percentile over points, in brackets between independent oracles (the noise floor); 11.51 is the worst. "
            "Accuracy on the forget set, in brackets the oracles'. Cost in retrainings.",
            style="dim",
        )
    if result.attribution:
        low, high = result.attribution["lds_interval"]
        left = constant_words(result.attribution["n_constant"], result.attribution["n_flat"])
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
    table = new_table(None, ("node", "status"), ("done", "wanted"), ("unit",))
    for row in grouped(result["nodes"], ("done", "wanted")):
        table.add_row(row["node"], row["status"], f"{row['done']:,}", f"{row['wanted']:,}", row["unit"])
    console.print(table)
    for shard in result.get("failed_shards", []):
        words = f"failed shard: {shard['node']} {shard['start']}-{shard['stop']}, given up after {shard['tries']} tries: {shard['error']}"
        console.print(words, style="red", soft_wrap=True)
    if result.get("nothing_there"):
        console.print(f"{result['nothing_there']}.", style="yellow", soft_wrap=True)
    if not result["complete"]:
        console.print("`dmm run` computes whatever is not done; finished shards are kept.", style="dim")


def show_plan(result: dict[str, Any], console: Console) -> None:
    """Print what will be computed and what it costs."""
    console.print(f"plan for store {result['store']}", style="italic", soft_wrap=True)
    table = new_table(None, ("node", "status"), ("exists", "to make", "retrainings", "core seconds"))
    for row in grouped(result["nodes"], ("done", "wanted", "retrainings", "seconds")):
        seconds = "?" if row["seconds"] is None else f"{row['seconds']:,.1f}" if row["seconds"] else ""
        cost = f"{row['retrainings']:,.1f}" if row["retrainings"] else ""
        table.add_row(row["node"], row["status"], f"{row['done']:,}", f"{row['wanted'] - row['done']:,}", cost, seconds)
    console.print(table)
    for label, about in result["forget_sets"].items():
        console.print(f"forget/{label}: {_forget_set(about)}", soft_wrap=True)
    for notice in result["notices"]:
        console.print(notice, style="yellow")
    console.print(f"To train: as much as {result['retrainings']:,.1f} models on all points; unlearning comes on top.")
    shared, focused = result["break_even_requests"], result["focused_retrainings"]
    if shared == 0:
        console.print("Break-even: what effects are predicted from was brought along and costs nothing here.")
    elif shared is not None:
        console.print(
            f"Break-even: the models that effects are learnt from cost {shared:,.0f} retrainings, shared by every request to forget. This experiment "
            f"has {result['requests']}; for fewer than {shared:,.0f} requests in all, retraining for each is cheaper, and what unlearning one costs, "
            "which the report knows, puts it further off.",
        )
    if focused:
        console.print(focused_pays(focused, result["break_even_with_focused"], result["models_in_request"]))


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
        told = [_coloured(status, statuses.count(status), len(statuses)) for status in dict.fromkeys(statuses)]
        node = beside(name, f"× {len(members)} sets") if len(members) > 1 else members[0]["node"]
        merged.append({"node": node, "status": Text(", ").join(told), "unit": members[0]["unit"], **counts})
    return merged


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
    table = new_table(f"KLoM of {result['n_points']:,} points, in nats", ("",), ("95th percentile", "mean", "models"))
    bounds = {name: "{:.3f} to {:.3f}".format(*result[f"{name}_interval"]) for name in ("p95", "mean")}
    values = [beside(f"{result[name]:.3f}", f"({bounds[name]})") for name in ("p95", "mean")]
    table.add_row("unlearned", *values, f"{result['n_unlearned']:,} and {result['n_oracles']:,}")
    floor = result["floor"]
    if floor is not None:
        table.add_row("noise floor", f"{floor['p95']:.3f}", f"{floor['mean']:.3f}", f"{floor['n_models']:,} and {floor['n_models']:,}")
    console.print(table)
    note = "with fewer than 4 oracles it is not known" if floor is None else floor["note"]
    console.print(f"Variant {result['variant']}. In brackets 95 % intervals. Noise floor: {note}.", style="dim")
    left_out = [f"{result[key]:,} {what}" for key, what in (("n_nonfinite", "not finite"), ("n_clipped", "clipped")) if result[key]]
    if left_out:
        console.print(f"Margins: {' and '.join(left_out)}.", style="yellow")


def show_comparison(content: Comparison, page: str, console: Console) -> None:
    """Print the P95 KLoM of every method in every experiment beside its floor, what that says, and where the page is."""
    table = new_table("P95 KLoM to retrained models on forgotten points", ("forget set", "unlearner"), content.names)
    for one in content.sets:
        for number, method in enumerate(one.methods):
            pairs = zip(method.entries, one.floor, strict=True)
            cells = ["–" if entry is None else beside(f"{entry.p95:.2f}", f"({floor:.2f})") for entry, floor in pairs]
            table.add_row("" if number else one.label, method.label, *cells)
        table.add_section()
    console.print(table)
    console.print("In nats, in brackets between independent oracles of the same experiment (its noise floor).", style="dim")
    console.print(headline(content), style="bold")
    console.print(f"Page:  {page}", soft_wrap=True)


def _results_table(rows: list[dict[str, Any]]) -> Table:
    table = new_table("P95 KLoM to retrained models", ("forget set", "unlearner"), ("forget", "retain", "validation", "accuracy", "cost"))
    before = None
    for row in rows:
        if before not in (None, row["forget_set"]):
            table.add_section()
        splits = [beside(f"{row[split]:.2f}", f"({row['floor'][split]:.2f})") for split in ("forget", "retain", "validation")]
        accuracy = beside(f"{row['accuracy']['forget']:.2f}", f"({row['oracle_accuracy']['forget']:.2f})")
        label = "" if before == row["forget_set"] else row["forget_set"]
        table.add_row(label, row["unlearner"], *splits, accuracy, f"{row['cost']['fraction']:.3f}")
        before = row["forget_set"]
    return table


def new_table(title: str | None, words: tuple[str, ...], numbers: tuple[str, ...], more: tuple[str, ...] = ()) -> Table:
    """Return an empty table: columns of words, of numbers, and of whatever comes last. A narrow window folds a cell and cuts none."""
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in words:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", overflow="fold")
    for name in more:
        table.add_column(name)
    return table


def beside(text: str, more: str) -> Text:
    """Return text with more beside it, dimmed."""
    return Text.assemble(text, " ", (more, "dim"))


def _coloured(status: str, count: int, of: int) -> Text:
    return Text(status if count == of else f"{count} {status}", COLOURS[status])
