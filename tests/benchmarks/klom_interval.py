"""Coverage and width of the 95 % interval of KLoM, on simulated ensembles.

Margins are Gaussian, and points are correlated by a shared factor, as those of one model are. The interval
should hold the expected estimate at that number of models, which is the mean of all draws. KLoM has a noise
floor of its own, which is printed beside it.
"""

import argparse

import numpy as np
from measure import parse, show

from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.klom import klom, klom_summary

SHIFTS = (0.0, 1.0, 3.0)
MODELS = (50, 100)


def draw(
    rng: np.random.Generator, n_models: int, n_points: int, correlation: float, shift: float
) -> np.ndarray:
    """Return margins (n_models, n_points) of unit variance whose points share a factor."""
    shared, own = rng.normal(size=(n_models, 1)), rng.normal(size=(n_models, n_points))
    return shift + np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


def case(n_models: int, shift: float, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return estimate, coverage and mean width of P95 and mean over repeated draws."""
    rng = np.random.default_rng(0)
    groups = {"all": np.arange(arguments.points)}
    estimates, intervals = [], []
    for repeat in range(arguments.repeats):
        pair = {
            "unlearned": draw(rng, n_models, arguments.points, arguments.correlation, shift),
            "oracle": draw(rng, n_models, arguments.points, arguments.correlation, 0.0),
        }
        estimates.append(klom_summary(klom(**pair).values))
        intervals.append(klom_interval(**pair, groups=groups, seed=repeat)["all"])
    figures = {}
    for statistic in ("p95", "mean"):
        truth = float(np.mean([estimate[statistic] for estimate in estimates]))
        bounds = np.array([interval[statistic] for interval in intervals])
        held = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
        spread = float(np.std([estimate[statistic] for estimate in estimates]))
        figures[statistic] = {
            "expected": truth,
            "coverage": float(held.mean()),
            "width": float(np.ptp(bounds, axis=1).mean()),
            "ideal_width": 3.92 * spread,
        }
    return figures


def main() -> None:
    """Simulate every case and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--correlation", type=float, default=0.3)
    parser.add_argument("--repeats", type=int, default=200)
    arguments = parse(parser, points=5, repeats=2)
    cases = {
        f"{n_models} models, shift {shift:g}": case(n_models, shift, arguments)
        for n_models in MODELS
        for shift in SHIFTS
    }
    coverages = [figures[statistic]["coverage"] for figures in cases.values() for statistic in figures]
    show(
        "klom_interval",
        {
            "lowest_coverage": min(coverages),
            "highest_coverage": max(coverages),
            "cases": cases,
            "settings": vars(arguments),
        },
    )


if __name__ == "__main__":
    main()
