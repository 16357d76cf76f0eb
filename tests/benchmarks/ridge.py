"""Ridge datamodels of 20,000 outputs: our factor, fit and effects against scikit-learn.

The fit covers all 21 penalties, and the effects are those of three sets. Masks are synthetic (2,000 models,
1,400 points, half kept). Outputs have planted weights and noise; blocks have 2,560 outputs, as in the
pipeline. Ours runs in full. scikit-learn runs on one block in the two obvious ways, and its times are scaled
to all outputs by their number: `Ridge` for each penalty with a fifth of the models held out, refitted at each
output's best (in turn with ours, after a warm-up), and `RidgeCV` with exact leave-one-out by output (slower,
timed once). All use --threads threads of BLAS. Peak memory, and agreement at equal penalties, are measured
too.
"""

import argparse
import resource
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from measure import median_ratio, parse, seconds_in_turn, show
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.linear.penalties import GRID
from pipeline.attribution.ridge import Ridge
from pipeline.core.arrays import Indices, Masks, Outputs
from pipeline.data.masks import subset_mask

N_FORGET, N_SETS, N_HELDOUT = 15, 3, 100


@dataclass(frozen=True)
class Problem:
    """Masks (n_models, n_train), outputs (n_models, n_outputs) and sets of training ids to remove."""

    masks: Masks
    heldout: Masks
    outputs: Outputs
    sets: list[Indices]
    block: int

    @property
    def penalties(self) -> np.ndarray:
        """The 21 penalties in absolute units."""
        centred = self.masks - self.masks.mean(axis=0)
        return np.asarray(GRID * (centred**2).sum() / len(centred))


def make_problem(n_models: int, n_train: int, n_outputs: int, block: int) -> Problem:
    """Return a problem whose outputs range from nearly pure noise to nearly linear.

    Therefore many different penalties are chosen.
    """
    rng = np.random.default_rng(0)
    masks = np.stack([subset_mask(n_train, 0.5, seed) for seed in range(n_models + N_HELDOUT)])
    noise = np.geomspace(0.1, 30, n_outputs, dtype=np.float32)[rng.permutation(n_outputs)]
    outputs = np.empty((n_models, n_outputs), np.float32)
    kept = masks[:n_models].astype(np.float32)
    # Work block by block, so the peak of memory shows solving the problem, not making it.
    for start in range(0, n_outputs, block):
        columns = slice(start, min(start + block, n_outputs))
        n_columns = columns.stop - start
        weights = rng.standard_normal((n_train, n_columns), np.float32) * np.float32(2 / np.sqrt(n_train))
        outputs[:, columns] = kept @ weights + noise[columns] * rng.standard_normal(
            (n_models, n_columns), np.float32
        )
    sets = [rng.choice(n_train, N_FORGET, replace=False) for _ in range(N_SETS)]
    return Problem(masks[:n_models], masks[n_models:], outputs, sets, block)


def as_block(outputs: Outputs) -> Block:
    """Return outputs as a block with one output for each point."""
    return Block(points=np.arange(outputs.shape[1]), outputs=outputs, per_point=1)


def ours(problem: Problem) -> list[np.ndarray]:
    """Factor once, then fit every block and predict the effect of each set on it.

    Return the effects (n_sets, n_outputs).
    """
    ridge, evidence = Ridge(), Evidence(masks=problem.masks)
    factor = ridge.factor(evidence)
    effects = []
    for start in range(0, problem.outputs.shape[1], problem.block):
        block = as_block(problem.outputs[:, start : start + problem.block])
        datamodel = ridge.datamodel(factor, ridge.fit(factor, evidence, block), evidence, block)
        effects.append(np.stack([datamodel.effect_of_removing(indices).mean for indices in problem.sets]))
    return effects


def holdout(problem: Problem) -> np.ndarray:
    """Return the weights (n_outputs, n_train) of scikit-learn's Ridge on one block.

    A held-out fifth of the models chooses each output's penalty, and the model is refitted at that penalty.
    """
    features, outputs = problem.masks.astype(np.float32), problem.outputs[:, : problem.block]
    n_fit = len(features) * 4 // 5
    errors = []
    for penalty in problem.penalties:
        model = SklearnRidge(alpha=penalty).fit(features[:n_fit], outputs[:n_fit])
        errors.append(((model.predict(features[n_fit:]) - outputs[n_fit:]) ** 2).mean(axis=0))
    best = np.argmin(errors, axis=0)
    weights = np.empty((outputs.shape[1], features.shape[1]), np.float32)
    for number in np.unique(best):
        weights[best == number] = (
            SklearnRidge(alpha=problem.penalties[number]).fit(features, outputs[:, best == number]).coef_
        )
    return weights


def leave_one_out(problem: Problem) -> RidgeCV:
    """Return scikit-learn's RidgeCV fitted to one block, each output at its own leave-one-out penalty."""
    return RidgeCV(alphas=problem.penalties, alpha_per_target=True).fit(
        problem.masks.astype(np.float32), problem.outputs[:, : problem.block]
    )


def agreement(problem: Problem, chosen: RidgeCV, n_outputs: int = 200) -> dict[str, float]:
    """Return how far our predictions, effects and penalties lie from scikit-learn's.

    Predictions and effects are compared at equal penalties, relative to their spread.
    """
    ridge, evidence = Ridge(penalty=0.5, effect_penalty=0.5), Evidence(masks=problem.masks)
    outputs = problem.outputs[:, :n_outputs]
    factor = ridge.factor(evidence)
    fit = ridge.fit(factor, evidence, as_block(outputs))
    datamodel = ridge.datamodel(factor, fit, evidence, as_block(outputs))
    model = SklearnRidge(alpha=fit["penalty"][0]).fit(
        problem.masks.astype(np.float64), outputs.astype(np.float64)
    )
    predicted, expected = (
        datamodel.predict(problem.heldout),
        model.predict(problem.heldout.astype(np.float64)),
    )
    effect = np.stack([datamodel.effect_of_removing(indices).mean for indices in problem.sets])
    removed = np.stack([-model.coef_[:, indices].sum(axis=1) for indices in problem.sets])
    best = Ridge().fit(factor, evidence, as_block(problem.outputs[:, : problem.block]))["penalty"]
    steps = np.abs(np.log(best / chosen.alpha_) / np.log(GRID[1] / GRID[0])).round()
    return {
        "predictions_max_relative_difference": float(np.abs(predicted - expected).max() / expected.std()),
        "effects_max_relative_difference": float(np.abs(effect - removed).max() / removed.std()),
        "same_penalty_as_exact_leave_one_out": float((steps == 0).mean()),
        "within_one_step_of_21": float((steps <= 1).mean()),
    }


def peak_mb() -> float:
    """Return the largest resident memory of this process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Time all three and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--points", type=int, default=1400)
    parser.add_argument("--outputs", type=int, default=20_000)
    parser.add_argument(
        "--block", type=int, default=2560, help="outputs fitted at once; scikit-learn is timed on one block"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parse(parser, models=60, points=30, outputs=40, block=20, repeats=1)
    torch.set_num_threads(arguments.threads)
    with threadpool_limits(arguments.threads):
        problem = make_problem(arguments.models, arguments.points, arguments.outputs, arguments.block)
        before = peak_mb()
        ours(problem)
        after = peak_mb()
        seconds = seconds_in_turn(
            {"ours": lambda: ours(problem), "holdout": lambda: holdout(problem)}, repeats=arguments.repeats
        )
        begun = time.perf_counter()
        chosen = leave_one_out(problem)
        once = time.perf_counter() - begun
        close = agreement(problem, chosen)
    scale, mine = arguments.outputs / arguments.block, statistics.median(seconds["ours"])
    rivals = [scale * value for value in seconds["holdout"]]
    figures = {
        "seconds": {
            "ours": mine,
            "sklearn_holdout_extrapolated": statistics.median(rivals),
            "sklearn_leave_one_out_extrapolated": scale * once,
        },
        "sklearn_over_ours": {
            "holdout": median_ratio(rivals, seconds["ours"]),
            "leave_one_out": scale * once / mine,
        },
        "peak_rss_mb": {"data_and_libraries": before, "with_ours": after},
        "agreement": close,
    }
    show("ridge", {"n_penalties": len(GRID), "settings": vars(arguments), **figures})


if __name__ == "__main__":
    main()
