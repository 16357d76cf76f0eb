"""LDS of our estimators on digits, and their time, against scikit-learn's LassoCV and ridge.

The data are 1,000 training and 200 test points of the digits. The models are MLPs 64-32-10; 2,000 subset
models keep half of the points. Targets are the margins of the test points. LDS is the mean over targets of
the Spearman correlation over 100 held-out models. Each seed s has its own data set, masks and models. Nothing
was chosen on these seeds (choices were made on 11 and 12).

Our estimators learn from outputs without the effects of their 50 shared seeds. LassoCV learns from the
margins as they are and, as `lassocv_seeds_out`, from the same outputs as ours. Seconds are CPU seconds of one
thread, from masks and outputs to held-out predictions. Ours are medians of --repeats in turn after a warm-up;
LassoCV's are of one run. `speedup_over_lassocv` takes LassoCV on plain margins. `ci` is the 95 % interval of
the mean over seeds, by the bootstrap over the held-out models of each seed. `attainable` is the LDS of the
mean of infinitely many models of the same masks, extrapolated from five of each; no estimator can predict the
effect of a held-out model's own seed. The cost of the scouts that `kernel`, `local` and `combined` use is
given beside, in retrainings and seconds. --quick takes every tenth target and one seed.
"""

import argparse
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from digits_models import N_SCOUTS, N_TEST, N_TRAIN, Problem, make_problem
from jaxtyping import Float
from measure import parse, show
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV
from threadpoolctl import threadpool_limits

from pipeline.attribution import ESTIMATORS
from pipeline.attribution.estimator import Estimator
from pipeline.attribution.evidence import Block, Evidence, without_seed_effects
from pipeline.attribution.lds import Lds, lds
from pipeline.core.arrays import HeldoutOutputs, Outputs

OURS = ("ridge", "lasso", "kernel", "local", "combined")


def seeds_out(problem: Problem, outputs: Outputs) -> Outputs:
    """Return outputs as the pipeline gives them to an estimator."""
    return without_seed_effects(outputs, problem.seeds, np.zeros(len(problem.seeds), np.int64))


def ours(estimator: Estimator, problem: Problem) -> HeldoutOutputs:
    """Return held-out margins (n_heldout, n_targets), computed from masks and outputs alone."""
    evidence = Evidence(
        masks=problem.masks, heldout=problem.heldout, lines=problem.lines, views=problem.views
    )
    block = Block(points=problem.targets, outputs=seeds_out(problem, problem.margins), per_point=1)
    factor = estimator.factor(evidence)
    return estimator.predict_heldout(factor, estimator.fit(factor, evidence, block), evidence, block)


def fit_all_logits(estimator: Estimator, problem: Problem) -> None:
    """Fit every logit of all points, as unlearning needs them, in blocks of 256 points."""
    evidence = Evidence(masks=problem.masks, lines=problem.lines, views=problem.views)
    factor = estimator.factor(evidence)
    for points in np.array_split(np.arange(N_TRAIN + N_TEST), 5):
        outputs = seeds_out(problem, problem.logits[:, points].reshape(len(problem.masks), -1))
        estimator.fit(factor, evidence, Block(points=points, outputs=outputs, per_point=10))


def lassocv(problem: Problem, outputs: Outputs) -> HeldoutOutputs:
    """Return the predictions of scikit-learn's LassoCV, with its defaults, for the held-out masks.

    It is fitted once for each target.
    """
    features, asked = problem.masks.astype(np.float64), problem.heldout.astype(np.float64)
    return np.stack(
        [LassoCV().fit(features, target).predict(asked) for target in outputs.T.astype(np.float64)], axis=1
    )


def attainable(problem: Problem) -> float:
    """Return the LDS that the mean over models of the same masks tends to.

    1/LDS² is linear in 1/(models in the mean).
    """
    models = np.concatenate([problem.actual[None], problem.replicas])
    sizes = np.arange(1, len(models))
    scores = [
        statistics.fmean(
            _of_others(models, list(chosen)) for chosen in itertools.combinations(range(len(models)), size)
        )
        for size in sizes
    ]
    return float(np.polyfit(1 / sizes, np.array(scores) ** -2.0, 1)[1] ** -0.5)


def _of_others(models: Float[np.ndarray, "n_each n_heldout n_targets"], chosen: list[int]) -> float:
    left = [model for model in range(len(models)) if model not in chosen]
    return statistics.fmean(
        lds(predicted=models[chosen].mean(axis=0), actual=models[model], n_resamples=20).mean
        for model in left
    )


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of run and its CPU seconds.

    LassoCV runs too long to be repeated until the noise of a busy machine averages out, so wall time is not
    used.
    """
    begun = time.process_time()
    found = run()
    return found, time.process_time() - begun


def of_seed(number: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return scores and seconds of every estimator on one seed."""
    problem = make_problem(number, arguments.models, arguments.heldout, arguments.step)
    plugins = {name: ESTIMATORS.build({"name": name}) for name in OURS}
    predicted = {name: ours(plugin, problem) for name, plugin in plugins.items()}
    runs = [
        {name: timed(partial(ours, plugin, problem))[1] for name, plugin in plugins.items()}
        for _ in range(arguments.repeats)
    ]
    seconds = {name: statistics.median(run[name] for run in runs) for name in plugins}
    for name, outputs in (
        ("lassocv", problem.margins),
        ("lassocv_seeds_out", seeds_out(problem, problem.margins)),
    ):
        predicted[name], seconds[name] = timed(partial(lassocv, problem, outputs))
    scores = {name: lds(predicted=values, actual=problem.actual) for name, values in predicted.items()}
    asked = plugins if arguments.all_logits and number == 0 else {}
    everything = {name: timed(partial(fit_all_logits, plugin, problem))[1] for name, plugin in asked.items()}
    found = {
        "scores": scores,
        "seconds": seconds,
        "all_logits": everything,
        "attainable": attainable(problem),
        "scouts": problem.scout_seconds,
    }
    print(
        number,
        {name: round(score.mean, 4) for name, score in scores.items()},
        f"attainable {found['attainable']:.4f}",
        flush=True,
    )
    return found


def mean_and_interval(scores: Sequence[Lds]) -> tuple[float, list[float]]:
    """Return the mean over seeds and its 95 % interval; the seeds' bootstraps are independent."""
    mean = statistics.fmean(score.mean for score in scores)
    low, high = (
        np.sqrt(sum((score.interval[side] - score.mean) ** 2 for score in scores)) / len(scores)
        for side in (0, 1)
    )
    return mean, [mean - float(low), mean + float(high)]


def figures_of(name: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one estimator's figures over all seeds."""
    mean, interval = mean_and_interval([each["scores"][name] for each in found])
    return {
        "lds": mean,
        "ci": interval,
        "lds_by_seed": [each["scores"][name].mean for each in found],
        "share_of_attainable": statistics.fmean(
            each["scores"][name].mean / each["attainable"] for each in found
        ),
        "seconds": statistics.median(each["seconds"][name] for each in found),
        "speedup_over_lassocv": statistics.median(
            each["seconds"]["lassocv"] / each["seconds"][name] for each in found
        ),
        "seconds_all_logits": found[0]["all_logits"].get(name),
    }


def main() -> None:
    """Run all seeds, print one line a seed and the figures of every estimator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument(
        "--heldout", type=int, default=100, help="held-out models of each of the five ensembles"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", type=int, default=1, help="every step-th test point is a target")
    parser.add_argument(
        "--all-logits", action="store_true", help="time fits of all 12,000 logits as well, on the first seed"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, every tenth target, one repeat")
    arguments = parse(parser, models=40, heldout=10, seeds=1, step=50, repeats=1)
    if arguments.quick:
        arguments.seeds, arguments.step, arguments.repeats = 1, 10, 1
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        found = [of_seed(number, arguments) for number in range(arguments.seeds)]
    beside = {
        "attainable": [each["attainable"] for each in found],
        "scouts": {
            "retrainings": N_SCOUTS,
            "subset_models_in_retrainings": arguments.models / 2,
            "seconds": statistics.median(e["scouts"] for e in found),
        },
    }
    for name in found[0]["scores"]:
        show(
            "lds_digits",
            {"estimator": name, **figures_of(name, found), **beside, "settings": vars(arguments)},
        )


if __name__ == "__main__":
    main()
