"""Removals from logistic regression on real data.

Every removal is compared with the exact minimiser of the points that stay.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from jaxtyping import Int
from pydantic import Field, model_validator

from pipeline.core.registry import Settings, describe
from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.studies.convex.problems.losses import LogisticProblem
from pipeline.studies.convex.problems.problem import ConvexOutputs
from pipeline.studies.convex.real.subset_models import datamodel_forecast, subset_masks, subset_outputs
from pipeline.studies.convex.removals import REMOVALS
from pipeline.studies.convex.removals.base import Removal, RemovalRequest

# The values of `step` that are searched. A `step` of 1 is safe for the largest possible curvature of the
# loss; mostly the curvature is far smaller, so longer steps are better.
FULL_BATCH = tuple(2.0**power for power in range(10))
# Matching is quadratic, so its bound on the curvature is exact. At 2 the fastest direction oscillates for
# ever.
MATCHING = (1.0, 1.5, 1.9)
STOCHASTIC = tuple(2.0**power for power in range(-14, 2, 2))
# A search takes only 1/SEARCHED of the steps. The `step` that is best then is best, or nearly best, later
# too.
SEARCHED = 8
# About this number of steps of a stochastic descent is recorded.
N_RECORDS = 200
# Number of unseen points that are used; this is enough for the 95th percentile.
MOST_UNSEEN_POINTS = 500
# With fewer subset models there is no variance to fit datamodels to.
FEWEST_SUBSET_MODELS = 3

PositiveNumber = Annotated[float, Field(gt=0)]


class DataStudy(Settings):
    """The settings of the study on one data set.

    penalty: λ for summed losses and for features that are scaled so that no training point has a norm above
    1. noise: the standard deviation σ of the noise added to the weights, as a multiple of the root mean
    square of the oracle's weights. Subset models keep keep_fraction of the points; if n_subset_models is 0,
    none are trained.
    """

    penalty: float = setting(neutral=0.01, gt=0, le=1e9)
    forget_fraction: float = setting(neutral=0.02, gt=0, lt=1)
    n_steps: int = setting(neutral=200, ge=SEARCHED, le=1_000_000)
    batch_size: int = setting(neutral=16, ge=1, le=10_000_000)
    noise: float = setting(neutral=0.05, gt=0, le=1e6)
    n_models: int = setting(neutral=200, ge=4, le=100_000)
    n_subset_models: int = setting(neutral=1400, ge=0, le=1_000_000)
    keep_fraction: float = setting(neutral=0.98, gt=0, lt=1)
    epsilon: float = setting(neutral=1.0, gt=0, le=1e6)
    delta: float = setting(neutral=1e-3, gt=0, lt=1)
    penalties: tuple[PositiveNumber, ...] = setting(neutral=(0.001, 0.1, 1.0, 10.0))
    forget_fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = setting(neutral=(0.005, 0.1, 0.3))
    spectrum_powers: tuple[PositiveNumber, ...] = setting(neutral=(0.5, 1.5))
    seed: int = setting(neutral=0)

    @model_validator(mode="after")
    def _check(self) -> "DataStudy":
        if 0 < self.n_subset_models < FEWEST_SUBSET_MODELS:
            raise ValueError(
                f"n_subset_models is {self.n_subset_models}; datamodels need at least "
                f"{FEWEST_SUBSET_MODELS}, and 0 leaves them out"
            )
        return self

    def forget_set(self, n_points: int, fraction: float) -> Int[np.ndarray, " n_forget"]:
        """Return a random share of the ids, sorted: at least one id and never all.

        The set of a larger share contains the set of every smaller share.
        """
        order = generator("convex forget", self.seed).permutation(n_points)
        return np.sort(order[: self._n_forget(n_points, fraction)])

    def tuning_set(self, n_points: int) -> Int[np.ndarray, " n_forget"]:
        """Return the ids, sorted, on whose removal step sizes are searched: as many as in the forget set.

        None of them is in the forget set unless more than half of the points leave.
        """
        order = generator("convex forget", self.seed).permutation(n_points)
        return np.sort(order[-self._n_forget(n_points, self.forget_fraction) :])

    def _n_forget(self, n_points: int, fraction: float) -> int:
        return min(max(1, round(fraction * n_points)), n_points - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Training and unseen points as one problem each.

    Features include a constant. They are scaled by one factor so that no training point has a norm above 1.
    """

    train: LogisticProblem
    unseen: LogisticProblem

    @classmethod
    def of(cls, examples: Examples, penalty: float) -> "Data":
        """Return the training points and the unseen points of examples, each as a logistic problem.

        Only the first MOST_UNSEEN_POINTS unseen points are used.
        """
        flat = examples.inputs_of(np.arange(examples.n_points)).reshape(examples.n_points, -1).astype(float)
        features = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
        features /= np.linalg.norm(features[: examples.n_train], axis=1).max()
        whole = LogisticProblem(
            features=features, penalty=penalty, labels=examples.labels, n_classes=examples.n_classes
        )
        return cls(
            train=whole.restricted(np.arange(examples.n_train)),
            unseen=whole.restricted(np.arange(examples.n_train, examples.n_points)[:MOST_UNSEEN_POINTS]),
        )

    def request(self, settings: DataStudy, fraction: float | None = None) -> RemovalRequest:
        """Return the request to forget a share of the training points, with its oracle."""
        forget = settings.forget_set(
            self.train.n_points, settings.forget_fraction if fraction is None else fraction
        )
        return with_oracle(
            RemovalRequest(problem=self.train, start=self.train.minimise(), forget=forget, seed=settings.seed)
        )


def with_oracle(request: RemovalRequest) -> RemovalRequest:
    """Return the request with its oracle, the minimiser without the forget set."""
    return replace(request, oracle=request.retained.minimise(request.start))


def forecasts(request: RemovalRequest, settings: DataStudy) -> dict[str, ConvexOutputs]:
    """Return forecasts of the oracle's outputs (n_points, n_columns) by name, for DMM to match.

    They come from one Newton step, from influence functions, and from datamodels if there are subset models.
    """
    problem = request.problem
    found = {
        name: problem.outputs(REMOVALS.build({"name": name}).remove(request).last)
        for name in ("newton", "influence")
    }
    if settings.n_subset_models:
        masks = subset_masks(
            settings.n_subset_models, problem.n_points, settings.keep_fraction, settings.seed
        )
        outputs = subset_outputs(problem, request.start, request.hessian, masks)
        found["datamodels"] = datamodel_forecast(request, outputs, masks)
    return found


def contenders(request: RemovalRequest, settings: DataStudy) -> Iterator[tuple[str, Removal, RemovalRequest]]:
    """Yield the label of every removal that is compared, the removal, and the request that it answers.

    Each descent has the `step` that was best for forgetting other points, those of tuning_set.
    """
    tuning = with_oracle(replace(request, forget=settings.tuning_set(request.problem.n_points)))
    for name in ("retrain", "newton", "influence", "projective_residual"):
        yield name, REMOVALS.build({"name": name}), request
    promise = {"epsilon": settings.epsilon, "delta": settings.delta}
    yield (
        "descent_to_delete",
        REMOVALS.build({"name": "descent_to_delete", "n_steps": settings.n_steps, **promise}),
        request,
    )
    per_pass = max(1, request.problem.n_points // settings.batch_size)
    batches = {
        "n_steps": settings.n_steps * per_pass,
        "batch_size": settings.batch_size,
        "n_records": N_RECORDS,
    }
    descent = best_removal({"name": "gradient_descent", "n_steps": settings.n_steps}, tuning, FULL_BATCH)
    yield "gradient_descent", descent, request
    # The projection hardly ever changes a step, so projected GD has the same `step` as gradient descent.
    yield "projected_gd", REMOVALS.build({**describe(descent), "name": "projected_gd"}), request
    for name, steps in (("gradient_ascent", FULL_BATCH), ("oracle_matching", MATCHING)):
        yield name, best_removal({"name": name, "n_steps": settings.n_steps}, tuning, steps), request
    yield (
        "gradient_descent_stochastic",
        best_removal({"name": "gradient_descent", **batches}, tuning, STOCHASTIC),
        request,
    )
    matching = best_removal({"name": "oracle_matching", **batches}, tuning, STOCHASTIC)
    yield "oracle_matching_stochastic", matching, request
    # Matching a forecast has the same curvature as matching the oracle, so it has the same `step`. The `step`
    # is not tuned on the error of a forecast, because in practice nobody knows this error.
    for source, forecast in forecasts(request, settings).items():
        yield (
            f"dmm_{source}",
            REMOVALS.build({**describe(matching), "name": "datamodel_matching"}),
            replace(request, forecast=forecast),
        )


def best_removal(settings: Mapping[str, Any], request: RemovalRequest, steps: tuple[float, ...]) -> Removal:
    """Return the descent with the `step` that comes nearest to the oracle in 1/SEARCHED of its steps."""
    short = {**settings, "n_steps": max(1, settings["n_steps"] // SEARCHED), "n_records": 1}
    target = request.wanted_oracle()
    ends = [
        REMOVALS.build({**short, "step": step}).remove(request).squared_distances(target)[-1]
        for step in steps
    ]
    return REMOVALS.build(
        {**settings, "step": steps[int(np.argmin(np.where(np.isfinite(ends), ends, np.inf)))]}
    )
