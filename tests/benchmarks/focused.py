"""What a few models trained for one forget set add to the datamodel, on the 34 sets of forget_quality.py.

No choice was made on these sets. For each set there are three kinds of pairs. `coupled` are pairs of a full
model and an oracle of the same seed (keep fraction 1, one retraining a pair). `sparse` are pairs of models
that keep .85 of the other points (1.7 retrainings a pair). `independent` are oracles with seeds of their own
beside the mean of all full models (one retraining each). 8 pairs give four different groups of 2 and two
different groups of 4, whose figures are averaged. Each kind is judged alone (`alone`) and with the datamodel
(`combined`). The effect is added to the logits of 100 full models, and their KLoM against 100 oracles is
divided by that of 100 independent oracles.

`variance` is the mean variance of a difference over twice that of a single model. `coverage` is the share of
actual mean effects within 1.96 standard errors. The rule that combines effects was chosen on another
experiment (label noise and shuffle of its own, six sets).
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from experiments import SMALLEST, Judged, demonstration_unlearners, judge, opened_store
from forget_quality import KINDS, first_of_each, forget_sets, median_of
from measure import parse, show

from pipeline.attribution.corrections.focused import Contrast, combined, contrast
from pipeline.attribution.datamodel import Effect
from pipeline.core.arrays import Effects, Indices, Logits
from pipeline.evaluation.klom import klom
from pipeline.evaluation.margins import margins
from pipeline.graph.logits_layout import read_logits

MOST_PAIRS = 8
N_PAIRS = (2, 4, 8)
FRACTIONS = {"coupled": 1.0, "sparse": 0.85}
COST = {"coupled": 1.0, "sparse": 1.7, "independent": 1.0}


@dataclass(frozen=True)
class Case:
    """One forget set: the effect that the datamodel predicts, and the logits of models.

    full, oracle and floor serve to judge. pairs has the kept and left-out logits (n_pairs, n_points,
    n_classes) of each kind.
    """

    predicted: Effect
    full: Logits
    oracle: Logits
    floor: Logits
    pairs: Mapping[str, tuple[Logits, Logits]]
    forget: Indices


def main() -> None:
    """Train what is missing, judge, print a line for each set and the figures by kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--store",
        help="folder of tables to use and grow, best that of forget_quality.py; a temporary one if left out",
    )
    parser.add_argument("--sets", type=int, help="only so many sets of each kind")
    parser.add_argument("--at-most", type=int, help="no population has more models than this")
    parser.add_argument("--executor", choices=("ray", "serial"), default="ray")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting of the experiment"
    )
    arguments = parse(parser, **SMALLEST | {"at_most": 2 * MOST_PAIRS}, sets=1)
    sets = first_of_each(forget_sets(), arguments.sets)
    settings = {"forget_sets": sets, "unlearners": demonstration_unlearners(("dm_direct",))}
    with opened_store(arguments.store) as store:
        runs = {
            kind: judge(
                store,
                arguments.executor,
                settings | {"populations.focused": focused},
                arguments.set,
                until=until,
                at_most=arguments.at_most,
            )
            for kind, focused, until in (
                ("plain", None, "effect"),
                *(
                    (kind, {"n_models": 2 * MOST_PAIRS, "keep_fraction": fraction}, "train")
                    for kind, fraction in FRACTIONS.items()
                ),
            )
        }
        found = {label: figures_of(case_of(runs, label), runs["plain"].session.examples) for label in sets}
    for label, figures in found.items():
        print(
            f"{label:18}"
            + "".join(
                f"{name:>26} {'/'.join(f'{value:.2f}' for value in row['over_floor'])}"
                for name, row in figures.items()
            ),
            flush=True,
        )
    show(
        "focused",
        {
            "unit": "forget P95, forget mean, validation P95 over the floor's; medians over sets",
            **by_kind(found),
        },
    )


def case_of(runs: Mapping[str, Judged], label: str) -> Case:
    """Return the tables of one forget set."""
    session = runs["plain"].session
    states = {kind: judged.session.graph.survey(session.store) for kind, judged in runs.items()}

    def logits(kind: str, key: str) -> Logits:
        return read_logits(
            session.store, states[kind][key].table, session.experiment.store.layout, session.examples.n_points
        )

    full, floor = logits("plain", "train/full"), logits("plain", f"train/floor/{label}")
    effect = session.store.read(states["plain"][f"effect/{label}"].table)
    return Case(
        predicted=Effect(effect["mean"].ravel(), effect["standard_error"].ravel()),
        full=full,
        oracle=logits("plain", f"train/oracle/{label}"),
        floor=floor,
        pairs={
            "coupled": (full[:MOST_PAIRS], logits("coupled", f"train/focused_out/{label}")),
            "sparse": (
                logits("sparse", f"train/focused_in/{label}"),
                logits("sparse", f"train/focused_out/{label}"),
            ),
            "independent": (
                np.broadcast_to(full.mean(axis=0), (MOST_PAIRS, *full.shape[1:])),
                floor[:MOST_PAIRS],
            ),
        },
        forget=session.store.read(states["plain"][f"forget/{label}"].table)["index"],
    )


def figures_of(case: Case, examples: Any) -> dict[str, dict[str, Any]]:
    """Return the figures of one set: of the datamodel, and of each `kind × number of pairs`.

    The latter are given alone and combined with the datamodel.
    """
    shape = case.full.shape[1:]
    floor = klom_of(case.floor, case, examples)
    forgotten = np.isin(np.arange(shape[0]), case.forget).repeat(shape[1])
    found = {"datamodel": judged_effects([case.predicted], case, examples, floor)}
    for kind, (kept, left_out) in case.pairs.items():
        for n_pairs in N_PAIRS:
            seen = list(groups_of(kept, left_out, n_pairs))
            alone = [Effect(one.mean, np.sqrt(one.squared_error(forgotten))) for one in seen]
            together = [combined(case.predicted, one, forgotten=forgotten) for one in seen]
            for how, effects in (("alone", alone), ("combined", together)):
                found[f"{kind}_{n_pairs}_{how}"] = judged_effects(effects, case, examples, floor)
        variance = contrast(
            kept=kept.reshape(len(kept), -1), left_out=left_out.reshape(len(kept), -1)
        ).variance
        single = 2 * case.full.var(axis=0, ddof=1).ravel()
        found[f"{kind}_{MOST_PAIRS}_alone"] |= {
            "variance": float(variance.mean() / single.mean()),
            "retrainings_a_pair": COST[kind],
        }
    return found


def groups_of(kept: Logits, left_out: Logits, n_pairs: int) -> Iterator[Contrast]:
    """Yield the contrast of each group of n_pairs pairs."""
    for start in range(0, MOST_PAIRS, n_pairs):
        part = slice(start, start + n_pairs)
        yield contrast(kept=kept[part].reshape(n_pairs, -1), left_out=left_out[part].reshape(n_pairs, -1))


def judged_effects(effects: list[Effect], case: Case, examples: Any, floor: np.ndarray) -> dict[str, Any]:
    """Return KLoM over the floor's, root mean squared error and coverage, averaged over effects."""
    shape = case.full.shape[1:]
    oracles = np.concatenate([case.oracle, case.floor])
    actual = oracles.mean(axis=0) - case.full.mean(axis=0)
    noise = case.full.var(axis=0) / len(case.full) + oracles.var(axis=0) / len(oracles)
    own = case.forget, examples.labels[case.forget]
    rows = []
    for effect in effects:
        mean, error = effect.mean.reshape(shape), effect.standard_error.reshape(shape)
        inside = np.abs(mean - actual) < 1.96 * np.sqrt(error**2 + noise)
        squares = (mean - actual) ** 2 - noise
        rows.append(
            [
                *(klom_of(added(case.full, mean), case, examples) / floor),
                inside.mean(),
                inside[own].mean(),
                squares.mean(),
                squares[own].mean(),
            ]
        )
    figures = np.mean(rows, axis=0).tolist()
    error, own_error = (max(value, 0.0) ** 0.5 for value in figures[5:])
    return {
        "over_floor": figures[:3],
        "coverage": figures[3],
        "coverage_own_class": figures[4],
        "error": error,
        "error_own_class": own_error,
    }


def added(logits: Logits, effect: Effects) -> Logits:
    """Return logits with an effect added, as DM-Direct does."""
    return logits + effect.astype(logits.dtype)


def klom_of(logits: Logits, case: Case, examples: Any) -> np.ndarray:
    """Return P95 and mean KLoM on the forget set and P95 on validation points, against the oracles."""
    values = klom(
        unlearned=margins(logits, examples.labels), oracle=margins(case.oracle, examples.labels)
    ).values
    return np.array(
        [
            np.percentile(values[case.forget], 95),
            values[case.forget].mean(),
            np.percentile(values[examples.n_train :], 95),
        ]
    )


def by_kind(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the figures of every way, as medians over the sets of a kind.

    KLoM on the forget set also has its bootstrap interval and its worst set.
    """
    result: dict[str, Any] = {}
    for kind in KINDS:
        sets = [figures for label, figures in found.items() if label.startswith(kind)]
        result[kind] = {}
        for way in sets[0]:
            rows = [figures[way] for figures in sets]
            told = {
                name: statistics.median(row[name] for row in rows) for name in rows[0] if name != "over_floor"
            }
            klom_figures = {
                name: statistics.median(row["over_floor"][column] for row in rows)
                for column, name in ((1, "forget_mean"), (2, "validation"))
            }
            forget = [row["over_floor"][0] for row in rows]
            result[kind][way] = {
                "forget": median_of(forget),
                "forget_worst": max(forget),
                **klom_figures,
                **told,
            }
    return result


if __name__ == "__main__":
    main()
