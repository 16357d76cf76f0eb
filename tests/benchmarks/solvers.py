"""LASSO paths of many outputs: our coordinate solver against libraries that solve one output at a time.

All solvers are compared at equal duality gaps, on one task: 20 penalties from each output's largest to a
hundredth of it on four fifths of the models, the penalty with the lowest error on the last fifth, and a refit
on all models at that penalty. Masks keep half of the points, planted weights fall as 1/rank, and R² of the
truth lies between .2 and .7.

Libraries get what outputs can share (centred arrays, Gram matrices); only the time of the Gram matrices is
added. Libraries run on the first --library outputs, and their times are scaled to all outputs by their
number. Each has the loosest tolerance of a ladder at which no gap of --calibrate outputs, on path or refit,
exceeds 1e-4 of the objective at zero weights. `relative_gaps` computes all gaps from the masks, in float64.
Every solver uses one thread. Times are CPU seconds, because others may use the machine. celer and skglm run
if they are installed. --lds also times the LDS against loops over scipy.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from libraries import Centred, Solve, libraries, library_lds
from measure import median_ratio, parse, seconds_in_turn, show
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from pipeline.attribution.lasso.coordinate_descent import Coordinate
from pipeline.attribution.lasso.penalty_path import LassoFit, Path, fit_path
from pipeline.attribution.lasso.proximal_gradient import Batched
from pipeline.attribution.lds import lds
from pipeline.core.arrays import Masks, Outputs
from pipeline.data.masks import subset_mask

SHAPES = {
    "small": (500, 500, 200),
    "medium": (2000, 1000, 200),
    "large": (4000, 2000, 500),
    "smallest": (80, 40, 8),
}
GAP = 1e-4
LADDER = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 5e-5, 2e-5, 5e-6, 1e-6]
NEVER = 10**6


@dataclass(frozen=True)
class Problem:
    """Masks (n_models, n_train), outputs (n_models, n_outputs), and which models choose the penalty."""

    masks: Masks
    outputs: Outputs
    heldout: np.ndarray

    def centred(self, rows: np.ndarray | slice) -> Centred:
        """Return some models, centred by their own means."""
        masks, outputs = self.masks[rows].astype(np.float64), self.outputs[rows].astype(np.float64)
        return Centred(np.asfortranarray(masks - masks.mean(axis=0)), outputs - outputs.mean(axis=0))


def make_problem(n_models: int, n_train: int, n_outputs: int) -> Problem:
    """Return a problem that resembles the outputs of subset models."""
    rng = np.random.default_rng(0)
    masks = np.stack([subset_mask(n_train, 0.5, seed) for seed in range(n_models)])
    sizes = rng.exponential(size=(n_train, n_outputs)) / np.arange(1, n_train + 1)[:, None]
    weights = rng.permuted(sizes * np.sign(rng.standard_normal(sizes.shape) + 0.5), axis=0)
    signal = masks.astype(np.float32) @ weights
    r2 = rng.uniform(0.2, 0.7, n_outputs)
    noise = signal.std(axis=0) * np.sqrt(1 / r2 - 1) * rng.standard_normal(signal.shape)
    return Problem(masks, (signal + noise + 3).astype(np.float32), np.arange(n_models) >= n_models * 4 // 5)


def relative_gaps(centred: Centred, weights: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Return the duality gaps (n_outputs,) of weights over the objectives at zero weights.

    weights is (n_outputs, n_train). The gaps follow from their definition.
    """
    n_models, y = centred.outputs.shape[0], centred.outputs[:, : len(weights)]
    residuals = y - centred.masks @ weights.T.astype(np.float64)
    primal = (residuals**2).sum(axis=0) / (2 * n_models) + penalty * np.abs(weights.astype(np.float64)).sum(
        axis=1
    )
    limit = n_models * penalty / np.abs(centred.masks.T @ residuals).max(axis=0)
    dual = np.clip((y * residuals).sum(axis=0) / (residuals**2).sum(axis=0), -limit, limit) * residuals
    value = ((y**2).sum(axis=0) - ((y - dual) ** 2).sum(axis=0)) / (2 * n_models)
    return (primal - value) / ((y**2).sum(axis=0) / (2 * n_models))


def ours(problem: Problem, patience: int, solver: type[Coordinate] | type[Batched] = Coordinate) -> LassoFit:
    """Solve all outputs with one of our solvers."""
    return fit_path(
        solver(problem.masks, problem.heldout),
        problem.masks,
        problem.outputs,
        Path(patience=patience, tolerance=GAP),
    )


def our_path_gaps(problem: Problem, left_in: Centred, n_outputs: int) -> np.ndarray:
    """Return our gaps (n_penalties, n_outputs) along the path."""
    chunk = Coordinate(problem.masks, problem.heldout).on_path(problem.outputs[:, :n_outputs])
    largest, ratios, gaps = chunk.largest(), Path().ratios(), []
    for previous, ratio in pairwise(ratios):
        chunk.solve(largest * ratio, largest * previous, GAP)
        gaps.append(relative_gaps(left_in, chunk.weights(), largest * ratio))
    return np.stack(gaps)


@dataclass(frozen=True)
class Library:
    """A library that solves the first outputs.

    It computes paths (n_outputs, n_penalties, n_train) on the models left in, then refits on all models.
    """

    solve: Solve
    tolerance: float
    left_in: Centred
    whole: Centred
    left_out: np.ndarray
    missed: np.ndarray

    def run(self, n_outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the paths, the refits (n_outputs, n_train), the chosen penalties and their positions."""
        paths, refits, chosen, positions = [], [], [], []
        for output in range(n_outputs):
            y = self.left_in.outputs[:, output]
            penalties = np.abs(self.left_in.masks.T @ y).max() / len(y) * Path().ratios()
            weights = self.solve(self.left_in, y, penalties, self.tolerance, None)
            errors = ((weights @ self.left_out - self.missed[output]) ** 2).mean(axis=1)
            best = int(errors.argmin())
            refits.append(
                self.solve(
                    self.whole,
                    self.whole.outputs[:, output],
                    penalties[best : best + 1],
                    self.tolerance,
                    weights[best].copy(),
                )[0]
            )
            paths.append(weights)
            chosen.append(penalties[best])
            positions.append(best)
        return np.stack(paths), np.stack(refits), np.array(chosen), np.array(positions)

    def gaps(self, n_outputs: int, exact: tuple[Centred, Centred]) -> dict[str, float]:
        """Return the median and the largest gap on the path and after the refit."""
        paths, refits, chosen, positions = self.run(n_outputs)
        largest = chosen / Path().ratios()[positions]
        on_path = np.stack(
            [
                relative_gaps(exact[0], paths[:, step], largest * ratio)
                for step, ratio in enumerate(Path().ratios())
                if step
            ]
        )
        return summary(on_path, relative_gaps(exact[1], refits, chosen))


def summary(on_path: np.ndarray, refit: np.ndarray) -> dict[str, float]:
    """Return the figures by which gaps are compared."""
    return {
        "path_median": float(np.median(on_path)),
        "path_max": float(on_path.max()),
        "refit_median": float(np.median(refit)),
        "refit_max": float(refit.max()),
    }


def calibrated(solve: Solve, problem: Problem, exact: tuple[Centred, Centred], n_outputs: int) -> Library:
    """Return a library at the loosest tolerance that keeps all gaps at or below GAP."""
    left_out = (problem.masks[problem.heldout] - problem.masks[~problem.heldout].mean(axis=0)).T
    missed = (
        problem.outputs[problem.heldout] - problem.outputs[~problem.heldout].mean(axis=0, dtype=np.float64)
    ).T
    for tolerance in LADDER:
        library = Library(solve, tolerance, *exact, left_out, missed)
        gaps = library.gaps(n_outputs, exact)
        if max(gaps["path_max"], gaps["refit_max"]) <= GAP:
            break
    return library


def race(
    problem: Problem, n_library: int, n_calibrate: int, repeats: int, *, with_batched: bool
) -> dict[str, object]:
    """Return the seconds of every solver for all outputs, the ratios of ours to the best library, and gaps.

    The result also has how often two solvers choose the same penalty.
    """
    exact = problem.centred(~problem.heldout), problem.centred(slice(None))
    entered = {name: calibrated(solve, problem, exact, n_calibrate) for name, solve in libraries().items()}
    begun = time.process_time()
    _ = [part.masks.T @ part.masks for part in exact]
    shared = time.process_time() - begun
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(problem, NEVER),
        "ours_stopped": lambda: ours(problem, Path().patience),
    }
    if with_batched:
        runs["batched_stopped"] = lambda: ours(problem, Path().patience, Batched)
    runs |= {name: lambda library=library: library.run(n_library) for name, library in entered.items()}
    seconds = seconds_in_turn(runs, repeats=repeats, clock=time.process_time)
    scale = problem.outputs.shape[1] / n_library
    for name in entered:
        seconds[name] = [scale * value + (shared if "gram" in name else 0.0) for value in seconds[name]]
    best = min(entered, key=lambda name: statistics.median(seconds[name]))
    whole, stopped, theirs = (
        ours(problem, NEVER),
        ours(problem, Path().patience),
        entered["sklearn_gram"].run(n_library)[3],
    )
    return {
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "best_library": best,
        "ratio": {
            "full_path": median_ratio(seconds["ours"], seconds[best]),
            "stopped": median_ratio(seconds["ours_stopped"], seconds[best]),
        },
        "gaps": {
            "ours": summary(
                our_path_gaps(problem, exact[0], n_calibrate),
                relative_gaps(exact[1], whole.weights, whole.penalty),
            )
        }
        | {name: library.gaps(n_calibrate, exact) for name, library in entered.items()},
        "ours_stopped_refit_gap": float(relative_gaps(exact[1], stopped.weights, stopped.penalty).max()),
        "tolerances": {name: library.tolerance for name, library in entered.items()},
        "same_penalty": {
            "as_sklearn": float((whole.position[:n_library] == theirs).mean()),
            "stopped_as_full": float((stopped.position == whole.position).mean()),
        },
        "median_r2": float(np.median(1 - whole.error / whole.error_at_zero)),
        "median_weights": float(np.median(np.count_nonzero(whole.weights, axis=1))),
    }


def lds_race(repeats: int, shape: tuple[int, int, int]) -> dict[str, object]:
    """Return the seconds of the LDS of linear datamodels, ours and others', and the difference of the scores.

    Ours computes a bootstrap interval as well; the loops over targets do not.
    """
    n_subsets, n_train, n_targets = shape
    rng = np.random.default_rng(0)
    masks = np.stack([subset_mask(n_train, 0.5, seed) for seed in range(n_subsets)])
    weights = rng.standard_normal((n_train, n_targets), np.float32)
    numbers = masks.astype(np.float32)
    actual = numbers @ weights + 50 * rng.standard_normal((n_subsets, n_targets), np.float32)

    def vectorised() -> np.ndarray:
        return lds(predicted=numbers @ weights, actual=actual).values

    def loop() -> np.ndarray:
        return np.array(
            [
                spearmanr(numbers @ weights[:, target], actual[:, target]).statistic
                for target in range(n_targets)
            ]
        )

    def loop_over_sums() -> np.ndarray:
        predicted = [[weights[mask, target].sum() for mask in masks] for target in range(n_targets)]
        return np.array(
            [spearmanr(predicted[target], actual[:, target]).statistic for target in range(n_targets)]
        )

    runs = {"ours": vectorised, "loop": loop, "loop_over_sums": loop_over_sums} | library_lds(
        weights, masks, actual
    )
    seconds = seconds_in_turn(runs, repeats=repeats, clock=time.process_time)
    return {
        "shape": list(shape),
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": {name: median_ratio(seconds["ours"], seconds[name]) for name in seconds if name != "ours"},
        "dattri": "raced" if "dattri" in runs else "not installed: pip install dattri",
        "largest_difference": float(np.abs(vectorised() - loop()).max()),
    }


def main() -> None:
    """Race at each shape and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=["small", "medium", "large"])
    parser.add_argument("--library", type=int, default=20, help="outputs that libraries are run on")
    parser.add_argument(
        "--calibrate", type=int, default=6, help="outputs whose gaps set a library's tolerance"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batched", action="store_true", help="our solver on torch too")
    parser.add_argument("--lds", action="store_true")
    arguments = parse(parser, shapes=["smallest"], library=4, calibrate=2, repeats=1, batched=True, lds=True)
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        # Libraries warn if they stop before they reach a tolerance; their gaps show it in numbers.
        warnings.simplefilter("ignore")
        if arguments.lds:
            show("lds", lds_race(arguments.repeats, (20, 50, 10) if arguments.smallest else (100, 5000, 500)))
        for shape in arguments.shapes:
            result = race(
                make_problem(*SHAPES[shape]),
                arguments.library,
                arguments.calibrate,
                arguments.repeats,
                with_batched=arguments.batched,
            )
            show("solvers", {"shape": list(SHAPES[shape]), **result, "settings": vars(arguments)})


if __name__ == "__main__":
    main()
