"""How `dmm attribute` looks on a terminal: what helps and hurts a point, and what the removal of a forget set will change."""

from typing import Any

from rich.console import Console

from jobs.commands.listing import new_table


def show_influences(result: dict[str, Any], console: Console) -> None:
    """Print the training points that help and hurt a point, strongest first."""
    target = result["target"]
    what = f"What helps and hurts {target['split']} point {target['id']} (label {target['label']}): its {result['output']}, in {result['unit']}"
    console.print(what, style="bold", soft_wrap=True)
    table = new_table(None, ("", "training point", "label"), ("weight", "± standard error"))
    for side, heading in (("helpful", "helps"), ("harmful", "hurts")):
        for row in result[side]:
            itself = " (itself)" if (row["id"], row["split"]) == (target["id"], target["split"]) else ""
            error = "?" if row["standard_error"] is None else f"{row['standard_error']:.3f}"
            table.add_row(heading if row is result[side][0] else "", f"{row['id']}{itself}", row["label"], f"{row['weight']:+.3f}", error)
        table.add_section()
    console.print(table)
    if not (result["helpful"] or result["harmful"]):
        console.print("No training point is found to matter: with this many models their effects drown in noise; train more.")
    flipped = sum(row["is_flipped"] for row in result["harmful"])
    if flipped:
        console.print(f"{flipped} of the {len(result['harmful'])} points that hurt most carry a label that was flipped on purpose (given → true).")
    learnt = "" if result["n_models"] is None else f" Learnt from {result['n_models']:,} models."
    known = "" if result["r2"] is None else f" R² on held-out models: {result['r2']:.2f}."
    console.print(f"Weight: the change of the {result['output']} if that one point were removed, negated.{learnt}{known}", style="dim")
    console.print(f"Picture: {result['picture']}", soft_wrap=True)


def show_forecast(result: dict[str, Any], console: Console) -> None:
    """Print what removing a forget set will change, in words and for the points that change most."""
    console.print(f"If {result['forget_set']} were removed, the datamodel predicts, before anything is unlearned:", style="bold")
    for sentence in result["words"]:
        console.print(f"  {sentence}")
    table = new_table(None, ("points that change most", "id", "label"), ("margin before", "predicted", "± standard error"))
    for side, heading in (("forget", "forgotten"), ("others", "others")):
        for row in result[side]:
            split = "" if row["split"] == "training" else f" ({row['split']})"
            numbers = ["?" if row[name] is None else f"{row[name]:{sign}.2f}" for name, sign in (("before", "+"), ("after", "+"), ("standard_error", ""))]
            table.add_row(heading if row is result[side][0] else "", f"{row['id']}{split}", row["label"], *numbers)
        table.add_section()
    console.print(table)
    console.print(f"Picture: {result['picture']}", soft_wrap=True)
