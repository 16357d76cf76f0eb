"""KLoM of a 60,000 × 100 table against another: vectorised over points, against a loop over points.

The loop bins and compares one point at a time. It is the reference of the tests (NumPy's digitize and
bincount, SciPy's entropy). It is timed on every 20th point and scaled up. Values are compared before anything
is timed.
"""

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path

import numpy as np
from measure import median_ratio, parse, seconds_in_turn, show

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from reference import PUBLISHED, closed, per_point

from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.klom import klom

SHARE = 20


def main() -> None:
    """Measure every variant and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=60_000)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parse(parser, points=200, models=10, repeats=1)
    rng = np.random.default_rng(0)
    unlearned, oracle = (
        rng.normal(shift, 1, (arguments.models, arguments.points)).astype(np.float32) for shift in (0.5, 0.0)
    )
    variants = {}
    for variant, rule in {"closed": closed, **PUBLISHED}.items():
        some = unlearned[:, ::SHARE], oracle[:, ::SHARE]
        difference = np.abs(
            klom(unlearned=some[0], oracle=some[1], variant=variant).values - per_point(rule, *some)
        ).max()
        if difference > 1e-9:
            raise SystemExit(f"{variant} differs from the loop by {difference}")
        ours = partial(klom, unlearned=unlearned, oracle=oracle, variant=variant)
        seconds = seconds_in_turn(
            {"ours": ours, "loop": partial(per_point, rule, *some)}, repeats=arguments.repeats
        )
        variants[variant] = {
            "speedup": SHARE * median_ratio(seconds["loop"], seconds["ours"]),
            "seconds": statistics.median(seconds["ours"]),
        }
    everything = {"all": np.arange(arguments.points)}
    interval = seconds_in_turn(
        {"interval": partial(klom_interval, unlearned=unlearned, oracle=oracle, groups=everything)}, repeats=1
    )["interval"][0]
    show(
        "klom",
        {
            **variants["closed"],
            "variants": variants,
            "interval_seconds": interval,
            "settings": vars(arguments),
        },
    )


if __name__ == "__main__":
    main()
