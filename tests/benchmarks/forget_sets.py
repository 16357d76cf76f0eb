"""How quality spreads over forget sets: the demonstration with all 20 coherent sets (10 classes, both ends of the first principal component).

One run of the pipeline trains 100 oracles and 100 floor models for each set (4,000 models) and lets doing nothing, DM-Direct, DMM and Oracle
Matching unlearn it at the demonstration's settings; the figures are P95 KLoM in nats against the oracles, beside the floor of independent
oracles. A store that holds the demonstration spares its 2,000 subset models; without one about two minutes of two cores go there.
"""

import argparse
from typing import Any

from experiments import demonstration_unlearners, judged_rows, opened_store
from measure import show, spread

from pipeline.stages.evaluate import SPLITS

UNLEARNERS = ("nothing", "dm_direct", "dmm", "oracle_matching")


def main() -> None:
    """Run the experiment, print the table by set and the spread over sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", help="folder of tables to use and grow; a temporary one if left out")
    parser.add_argument("--points", type=int, default=15, help="points in a forget set")
    parser.add_argument("--executor", choices=("ray", "serial"), default="ray")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting of the demonstration")
    arguments = parser.parse_args()
    sets = {f"{label}-{end}": {"name": "coherent", "label": label, "n_points": arguments.points, "end": end} for label in range(10) for end in ("high", "low")}
    settings = {"forget_sets": sets, "unlearners": demonstration_unlearners(UNLEARNERS)}
    with opened_store(arguments.store) as store:
        rows = judged_rows(store, arguments.executor, settings, arguments.set)
    by_set = table_by_set(rows)
    print_table(by_set)
    figures = {name: {split: spread([cells[name][split] for cells in by_set.values()]) for split in SPLITS} for name in ("floor", *UNLEARNERS)}
    cost = {row["unlearner"]: row["cost"]["fraction"] for row in rows}
    show("forget_sets", {"unit": "P95 KLoM, nats", "n_sets": len(by_set), "over_sets": figures, "cost_in_retrainings": cost, "by_set": by_set})


def table_by_set(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return P95 KLoM by forget set, then by unlearner or `floor`, then by split."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        cells = table.setdefault(row["forget_set"], {"floor": row["floor"]})
        cells[row["unlearner"]] = {split: row[split] for split in SPLITS}
    return table


def print_table(by_set: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print one line a set: forget / retain / validation for the floor and each unlearner."""
    names = ("floor", *UNLEARNERS)
    print(f"{'set':8}" + "".join(f"{name:>22}" for name in names))
    for label, cells in by_set.items():
        print(f"{label:8}" + "".join(f"{' / '.join(f'{cells[name][split]:.2f}' for split in SPLITS):>22}" for name in names))


if __name__ == "__main__":
    main()
