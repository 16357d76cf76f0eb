"""`dmm plan`: what exists, what will be trained and its cost, before anything is trained."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from jobs.options import DONE, Config, Json, Set, StoreUri, finish, paper
from jobs.running.node_rows import grouped
from jobs.running.planning import planned_work
from jobs.session import open_session
from pipeline.results.payback import focused_pays, proxies_counted
from pipeline.results.tables import Column, Table, number_column, row_of, table_of
from pipeline.show.terminal import TerminalTable

# How inputs reach the device, in words, by the kind of feed.
FEEDS = {
    "resident": "held in memory by each task",
    "streamed": "streamed batch by batch",
    "open": "held in memory or streamed",
}


def plan(config: Config = None, set_: Set = None, store: StoreUri = None, json_: Json = False) -> None:
    """Show what exists, what a run will train, and what that costs. Trains nothing.

    Costs are in retrainings, and in core seconds where tables of the kind were timed before.
    """
    result = planned_work(open_session(config, set_ or (), store))
    show_plan(result, paper())
    finish(result, json_, DONE)


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
        console.print(
            "Break-even: effects are predicted from models or a matrix that were not made here, so "
            "they cost nothing."
        )
    elif shared is not None:
        console.print(
            f"Break-even: the models that effects are learnt from cost {shared:,.0f} retrainings, "
            f"which all requests to forget share (here {result['requests']}). Unlearning is cheaper "
            f"than retraining only after at least {shared:,.0f} requests. The report adds the cost "
            "of unlearning.",
        )
    if result["proxies"]:
        console.print(proxies_counted(None, 0.0))
    if focused:
        console.print(focused_pays(focused, result["break_even_with_focused"], result["models_in_request"]))


def _left_to_make(retrainings: float, n_to_unlearn: int) -> str:
    """Return in words how much is left to train and how many models are left to unlearn."""
    if not retrainings and not n_to_unlearn:
        return "No model is left to train or to unlearn."
    if not retrainings:
        return f"No model is left to train. Models left to unlearn: {n_to_unlearn:,}."
    amount = f"as much as {retrainings:,.1f} models" if retrainings >= 0.05 else "less than 0.1 models"
    on_top = f", and {n_to_unlearn:,} models to unlearn" if n_to_unlearn else ""
    return f"To train: {amount} on all points{on_top}."


def _feeds(feeds: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return in words each way in which inputs reach the device, with the stages that use it."""
    told: dict[str, list[str]] = {}
    for stage, about in feeds.items():
        told.setdefault(f"{FEEDS[about['feed']]} ({about['reason']})", []).append(f"`{stage}`")
    return told


def _plan_table(nodes: list[dict[str, Any]]) -> Table:
    columns = (
        Column("node"),
        Column("status"),
        number_column("exists"),
        number_column("to make"),
        number_column("retrainings", digits=1),
        number_column("core seconds", digits=1),
    )
    rows = []
    for each in grouped(nodes, ("done", "wanted", "retrainings", "seconds")):
        seconds = "?" if each["seconds"] is None else each["seconds"] or None
        to_make = each["wanted"] - each["done"]
        rows.append(
            row_of(each["node"], each["status"], each["done"], to_make, each["retrainings"] or None, seconds)
        )
    return table_of(columns, rows)


def _forget_set(about: dict[str, Any] | None) -> str:
    """Return the size and the first ids of a forget set in words."""
    if about is None:
        return "its points are known only after the models that the rule needs are trained"
    n_points, first = about["n_points"], ", ".join(map(str, about["first_ids"]))
    more = ", …" if n_points > len(about["first_ids"]) else ""
    return f"{n_points:,} point{'' if n_points == 1 else 's'}: {first}{more}"
