"""How well forget sets of three kinds are forgotten, on sets that no choice was made on.

There are 20 coherent, 10 random and 4 mislabelled sets of digits. Each set has 100 oracles and 100
independent floor models (6,800 in all). P95 and mean KLoM in nats compare 100 unlearned models with the
oracles. Variants of the attribution share one store. `over_floor` is KLoM over the floor's. `over_default` is
KLoM over that of the first release's default (`spine`: ridge on 2,000 subset models that keep half, and its
matching). Both are medians over sets with a 95 % bootstrap interval. `coverage` is the share of actual mean
effects (oracles' mean logits less the full models') within 1.96 standard errors of the predicted ones.

All choices are made on another experiment, which --tuning runs instead: another split, label noise and seeds,
and 22 sets of other sizes.
"""

import argparse
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
from experiments import SMALLEST, Judged, demonstration_unlearners, judge, opened_store
from measure import parse, show

from jobs.session import read_experiment
from pipeline.graph.logits_layout import read_logits
from pipeline.graph.nodes.evaluate import SPLITS

KINDS = ("coherent", "random", "mislabelled")
HALF = {"subset": {"n_models": 2000, "keep_fraction": 0.5}, "designed": None, "n_seeds": None}
# Changes of each variant to the demonstration; `spine` is the first release's default.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "spine": {"estimator": "ridge", "populations": HALF},
    "uniform_only": {"populations": {"subset": {"n_models": 3000, "keep_fraction": 0.85}, "designed": None}},
    "half_kept": {"populations": HALF},
    "own_seeds": {"populations": {"n_seeds": None}},
    "no_groups": {"estimator": {"name": "kernel", "balls": 0.0, "caps": 0.0, "hard": 0.0}},
    "ridge": {"estimator": "ridge"},
    "guided": {
        "estimator": {"name": "kernel", "effect_shrinkage": 0.15, "guide": {"rows": 1024, "axes": 256}}
    },
    "full_penalty": {"estimator": {"name": "kernel", "effect_shrinkage": 1.0}},
    "a_third": {
        "populations": {
            "subset": {"n_models": 333, "keep_fraction": 0.85},
            "designed": {"n_models": 667, "keep_fraction": 0.92},
        }
    },
}
TUNING = ("seed=5", "dataset.seed=5", "dataset.label_noise.seed=5")
SPINE_MATCHING = {
    "name": "dmm",
    "retain_points": 140,
    "forget_multiplier": 5,
    "batch_size": 32,
    "epochs": 8,
    "learning_rate": 3e-3,
}


def main() -> None:
    """Run the variants, print the table of sets and the figures by kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", help="folder of tables to use and grow; a temporary one if left out")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=["default", "spine"],
        help="beside `default` and `spine`, which are always run",
    )
    parser.add_argument("--executor", choices=("ray", "serial"), default="ray")
    parser.add_argument("--sets", type=int, help="only so many sets of each kind")
    parser.add_argument("--at-most", type=int, help="no population has more models than this")
    parser.add_argument(
        "--tuning",
        action="store_true",
        help="judge the sets that choices are made on, not those that are reported",
    )
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting of every variant"
    )
    arguments = parse(parser, **SMALLEST, sets=1)
    with opened_store(arguments.store) as store:
        found = {}
        for name in dict.fromkeys(["default", "spine", *arguments.variants]):
            settings = settings_of(name, tuning=arguments.tuning, most=arguments.sets)
            found[name] = judge(store, arguments.executor, settings, arguments.set, at_most=arguments.at_most)
            print_sets(name, found[name])
        figures = {name: figures_of(judged, found["spine"]) for name, judged in found.items()}
    show(
        "forget_quality",
        {"unit": "P95 KLoM, nats; medians over sets with 95 % bootstrap intervals", **figures},
    )


def forget_sets() -> dict[str, dict[str, Any]]:
    """Return the settings of the 34 sets by label; each label begins with its kind."""
    sets: dict[str, dict[str, Any]] = {
        f"coherent-{label}-{end}": {"name": "coherent", "label": label, "n_points": 15, "end": end}
        for label in range(10)
        for end in ("high", "low")
    }
    sizes = np.linspace(8, 50, 10).round().astype(int).tolist()
    sets |= {f"random-{size}": {"name": "random", "n_points": size, "seed": 100 + size} for size in sizes}
    flipped = read_experiment(None, (), None).dataset.load().mislabelled
    rng = np.random.default_rng(0)
    return sets | {
        f"mislabelled-{size}": {
            "name": "indices",
            "ids": sorted(rng.choice(flipped, size, replace=False).tolist()),
        }
        for size in (10, 17, 23, 30)
    }


def tuning_sets() -> dict[str, dict[str, Any]]:
    """Return the settings of the 22 sets that choices are made on.

    They have other sizes than the reported sets and lie in another split of the data.
    """
    ends = ("high", "low")
    sets: dict[str, dict[str, Any]] = {
        f"coherent-{label}-{ends[label % 2]}-{size}": {
            "name": "coherent",
            "label": label,
            "n_points": size,
            "end": ends[label % 2],
        }
        for label in range(10)
        for size in ((10, 24) if label < 4 else (18,))
    }
    sets |= {
        f"random-{size}": {"name": "random", "n_points": size, "seed": 500 + size}
        for size in (10, 20, 30, 45)
    }
    flipped = read_experiment(None, TUNING, None).dataset.load().mislabelled
    rng = np.random.default_rng(5)
    return sets | {
        f"mislabelled-{size}": {
            "name": "indices",
            "ids": sorted(rng.choice(flipped, size, replace=False).tolist()),
        }
        for size in (8, 14, 20, 27)
    }


def first_of_each(sets: Mapping[str, dict[str, Any]], most: int | None) -> dict[str, dict[str, Any]]:
    """Return the first `most` sets of each kind, or all of them if most is None."""
    return {
        label: rule
        for kind in KINDS
        for label, rule in [item for item in sets.items() if item[0].startswith(kind)][:most]
    }


def settings_of(variant: str, *, tuning: bool = False, most: int | None = None) -> dict[str, Any]:
    """Return the changes of a variant to the demonstration.

    Ablations are judged by their predictions alone.
    """
    unlearners = demonstration_unlearners(
        ("nothing", "dm_direct", "dmm", "oracle_matching") if variant == "default" else ("dm_direct",)
    )
    if variant == "spine":
        unlearners |= {"dmm": SPINE_MATCHING, "dmm_matched_as_now": demonstration_unlearners(("dmm",))["dmm"]}
    sets = first_of_each(tuning_sets() if tuning else forget_sets(), most)
    elsewhere: dict[str, Any] = dict(setting.split("=") for setting in TUNING) if tuning else {}
    return (
        {"forget_sets": sets, "unlearners": unlearners}
        | {key: int(value) for key, value in elsewhere.items()}
        | flattened(VARIANTS[variant])
    )


def flattened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return each population as one setting, so populations that are not named keep their defaults."""
    populations = {f"populations.{role}": value for role, value in settings.get("populations", {}).items()}
    return populations | {name: value for name, value in settings.items() if name != "populations"}


def print_sets(variant: str, judged: Judged) -> None:
    """Print one line a set: forget / retain / validation for the floor and each unlearner."""
    table: dict[str, dict[str, Mapping[str, float]]] = {}
    for row in judged.rows:
        table.setdefault(row["forget_set"], {"floor": row["floor"]})[row["unlearner"]] = row
    names = list(next(iter(table.values())))
    print(f"{variant:18}" + "".join(f"{name:>22}" for name in names))
    for label, cells in table.items():
        print(
            f"{label:18}"
            + "".join(f"{' / '.join(f'{cells[name][split]:.2f}' for split in SPLITS):>22}" for name in names),
            flush=True,
        )


def figures_of(judged: Judged, spine: Judged) -> dict[str, Any]:
    """Return the figures of a variant by kind of forget set."""
    kinds = {kind: kind_figures(kind, judged, spine) for kind in KINDS}
    cost = {row["unlearner"]: 0.0 for row in judged.rows}
    for row in judged.rows:
        cost[row["unlearner"]] = max(cost[row["unlearner"]], row["cost"]["fraction"])
    return {
        "by_kind": kinds,
        "largest_cost_in_retrainings": cost,
        "datamodel_in_retrainings": judged.spending.datamodel,
        "coverage": coverage(judged),
    }


def kind_figures(kind: str, judged: Judged, spine: Judged) -> dict[str, Any]:
    """Return medians and intervals over the sets of one kind for each unlearner."""
    default = {row["forget_set"]: row["forget"] for row in spine.rows if row["unlearner"] == "dmm"}
    found: dict[str, Any] = {}
    for unlearner in dict.fromkeys(row["unlearner"] for row in judged.rows):
        rows = [
            row for row in judged.rows if row["unlearner"] == unlearner and row["forget_set"].startswith(kind)
        ]
        figures = {split: median_of([row[split] for row in rows]) for split in SPLITS}
        figures["forget_mean_over_sets"] = statistics.fmean(row["forget"] for row in rows)
        figures["forget_worst"] = max(row["forget"] for row in rows)
        figures["over_floor"] = median_of([row["forget"] / row["floor"]["forget"] for row in rows])
        figures["mean_klom_over_floor"] = median_of(
            [row["mean"]["forget"] / row["floor_mean"]["forget"] for row in rows]
        )
        figures["over_default"] = ratio_of_medians(
            [row["forget"] for row in rows], [default[row["forget_set"]] for row in rows]
        )
        found[unlearner] = figures
    floors = [
        row["floor"]
        for row in judged.rows
        if row["unlearner"] == "dm_direct" and row["forget_set"].startswith(kind)
    ]
    return found | {"floor": {split: statistics.median(floor[split] for floor in floors) for split in SPLITS}}


def median_of(values: list[float]) -> list[float]:
    """Return the median over sets and the ends of its bootstrap interval."""
    drawn = np.random.default_rng(0).choice(np.array(values), (2000, len(values)))
    return [statistics.median(values), *np.quantile(np.median(drawn, axis=1), [0.025, 0.975]).tolist()]


def ratio_of_medians(values: list[float], others: list[float]) -> list[float]:
    """Return the ratio of medians over the same sets and the ends of its bootstrap interval.

    The bootstrap draws sets in pairs.
    """
    picked = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    ratios = np.median(np.array(values)[picked], axis=1) / np.median(np.array(others)[picked], axis=1)
    return [
        statistics.median(values) / statistics.median(others),
        *np.quantile(ratios, [0.025, 0.975]).tolist(),
    ]


def coverage(judged: Judged) -> dict[str, Any]:
    """Return the share of actual mean effects within 1.96 standard errors, by kind.

    There is one share over all logits, and one over own-class logits of the forget set.
    """
    store, layout, examples = (
        judged.session.store,
        judged.session.experiment.store.layout,
        judged.session.examples,
    )
    tables = {
        key: state.table
        for key, state in judged.session.graph.survey(store).items()
        if state.status == "done"
    }
    full = read_logits(store, tables["train/full"], layout, examples.n_points)
    shares: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for label in judged.session.experiment.forget_sets:
        oracle = read_logits(store, tables[f"train/oracle/{label}"], layout, examples.n_points)
        effect, forget = store.read(tables[f"effect/{label}"]), store.read(tables[f"forget/{label}"])["index"]
        noise = full.var(axis=0) / len(full) + oracle.var(axis=0) / len(oracle)
        score = (oracle.mean(axis=0) - full.mean(axis=0) - effect["mean"]) / np.sqrt(
            effect["standard_error"] ** 2 + noise
        )
        inside = np.abs(score) < 1.96
        shares[label.split("-")[0]].append(
            (float(inside.mean()), float(inside[forget, examples.labels[forget]].mean()))
        )
    return {
        kind: {
            "all": statistics.fmean(a for a, _ in pairs),
            "own_class_of_forget": statistics.fmean(b for _, b in pairs),
        }
        for kind, pairs in shares.items()
    }


if __name__ == "__main__":
    main()
