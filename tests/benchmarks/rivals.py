"""Gradient ascent and fine-tuning at their best, beside DMM at the demonstration's settings.

The grids are those of Georgiev et al. 2025 and of its authors' code. Every setting (learning rates 1e-5,
1e-3, 1e-2, 5e-2 by epochs 1, 3, 5, 7, 10; batch 64) unlearns the demonstration's three forget sets through
the pipeline, with 100 models each. The best is picked on the reported metric, which favours the rivals.
Figures are P95 KLoM in nats and cost in retrainings. `best` is the lowest on the forget set. `best_within` is
the lowest among the settings whose retain and validation figures stay within --limit.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from experiments import SMALLEST, demonstration_unlearners, judge, opened_store
from measure import parse, show

from pipeline.graph.nodes.evaluate import SPLITS

RATES = ("1e-5", "1e-3", "1e-2", "5e-2")
EPOCHS = (1, 3, 5, 7, 10)
RIVALS = {"ga": "gradient_ascent", "ft": "finetune"}
BESIDE = ("nothing", "dm_direct", "dmm", "oracle_matching")


def main() -> None:
    """Run the grids, print the best of each and DMM's row for each forget set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", help="folder of tables to use and grow; a temporary one if left out")
    parser.add_argument(
        "--limit", type=float, default=2.5, help="largest retain and validation P95 of `best_within`"
    )
    parser.add_argument("--rates", nargs="+", default=RATES, help="learning rates of the grid")
    parser.add_argument("--epochs", nargs="+", type=int, default=EPOCHS, help="epochs of the grid")
    parser.add_argument("--at-most", type=int, help="no population has more models than this")
    parser.add_argument("--executor", choices=("ray", "serial"), default="ray")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one setting of the demonstration",
    )
    arguments = parse(parser, **SMALLEST, rates=RATES[:1], epochs=EPOCHS[:1])
    with opened_store(arguments.store) as store:
        unlearners = demonstration_unlearners(BESIDE) | grid(arguments.rates, arguments.epochs)
        rows = judge(
            store, arguments.executor, {"unlearners": unlearners}, arguments.set, at_most=arguments.at_most
        ).rows
    result = {label: compared(forget_rows, arguments.limit) for label, forget_rows in grouped(rows).items()}
    for label, lines in result.items():
        print(f"\n{label:28}{'forget':>8}{'retain':>8}{'valid.':>8}{'cost':>9}")
        for name, line in lines.items():
            print(f"{name:28}" + ("  none stays within the limit" if line is None else _line(line)))
    show(
        "rivals",
        {
            "unit": "P95 KLoM, nats; cost in retrainings",
            "limit": arguments.limit,
            "n_settings_each": len(arguments.rates) * len(arguments.epochs),
            "by_set": result,
        },
    )


def grid(rates: Sequence[str], all_epochs: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return the settings of every rival by label, such as ga_lr1e-3_e5."""
    return {
        f"{short}_lr{rate}_e{epochs}": {"name": name, "learning_rate": float(rate), "epochs": epochs}
        for short, name in RIVALS.items()
        for rate in rates
        for epochs in all_epochs
    }


def grouped(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each forget set."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["forget_set"], []).append(row)
    return groups


def compared(rows: list[dict[str, Any]], limit: float) -> dict[str, dict[str, Any] | None]:
    """Return the lines to show for one forget set.

    These are the floor, the methods of BESIDE, and each rival's best with and without the limit.
    """
    plain = {row["unlearner"]: row for row in rows}
    lines: dict[str, dict[str, Any] | None] = {"floor": {**rows[0]["floor"], "cost": 0.0}}
    lines |= {name: _cells(plain[name]) for name in BESIDE}
    for short in RIVALS:
        mine = [row for row in rows if row["unlearner"].startswith(f"{short}_")]
        within = [row for row in mine if row["retain"] <= limit and row["validation"] <= limit]
        lines[f"{short} best"] = _best(mine)
        lines[f"{short} best_within"] = _best(within)
    return lines


def _best(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return _cells(min(rows, key=lambda row: row["forget"])) if rows else None


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{split: row[split] for split in SPLITS},
        "cost": row["cost"]["fraction"],
        "setting": row["unlearner"],
    }


def _line(line: dict[str, Any]) -> str:
    return (
        "".join(f"{line[split]:8.2f}" for split in SPLITS) + f"{line['cost']:9.4f}  {line.get('setting', '')}"
    )


if __name__ == "__main__":
    main()
