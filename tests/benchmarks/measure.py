"""What benchmarks share: their command line, timing in turn, and one JSON object on the last line.

It measures nothing by itself. Times are wall seconds, which a busy machine changes. Therefore every result
carries the load average, and runs that are compared are taken in turn.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def parse(parser: argparse.ArgumentParser, **smallest: Any) -> argparse.Namespace:
    """Return the options of the command line; --smallest is one of them and sets these sizes.

    tests/benchmarks/test_scripts.py runs every script with it.
    """
    parser.add_argument(
        "--smallest",
        action="store_true",
        help="smallest sizes: shows that the script works; its figures mean nothing",
    )
    if parser.parse_known_args()[0].smallest:
        parser.set_defaults(**smallest)
    return parser.parse_args()


def seconds_in_turn(
    runs: Mapping[str, Callable[[], object]], *, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Return the seconds (repeats,) of each run.

    All runs go once to warm up, then all in turn, so drift of the machine affects all alike. clock is wall
    time, or time.process_time for runs of one thread on a machine that others use.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            begun = clock()
            run()
            if repeat:
                seconds[name].append(clock() - begun)
    return seconds


def median_ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """Return the median of slower / faster over pairs taken in turn."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the quartiles and the mean of at least two values."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "lower_quartile": low, "upper_quartile": high, "mean": statistics.fmean(values)}


def show(benchmark: str, figures: Mapping[str, Any]) -> None:
    """Print figures as one JSON object on one line, with the machine's CPUs, threads and load average."""
    machine = {
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }
    print(json.dumps({"benchmark": benchmark, **_rounded(figures), "machine": machine}, allow_nan=False))


def _rounded(value: Any) -> Any:
    """Return value with every float at four significant digits."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
