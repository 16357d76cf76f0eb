"""U-LiRA: how well a likelihood-ratio attack distinguishes unlearned models from retrained models.

The attack sees one margin of each model and point. Half of the models of each group are shadows, from which
it learns a Gaussian for each point; it classifies the other half, the targets.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

from pipeline.core.arrays import (
    MOST_RESAMPLES,
    Margins,
    PerPoint,
    require_count,
    require_number,
    require_share,
)
from pipeline.core.seeds import generator
from pipeline.evaluation.bootstrap import Interval
from pipeline.evaluation.margins import check_worlds
from pipeline.evaluation.roc import Rates, Roc, rightness

# Half of the models are shadows, and a variance needs two of them.
FEWEST_MODELS = 4
# The least variance of a fitted Gaussian, in nats squared. Its standard deviation is 0.001 nats.
VARIANCE_FLOOR = 1e-6
# Margins are clipped to ±LARGEST, so that the square of LARGEST over LEAST_FLOOR is still finite in float64.
LARGEST = 1e100
LEAST_FLOOR = 1e-30

Shadows = Float[np.ndarray, "n_shadows n_points"]
_Targets = Float[np.ndarray, "n_targets n_points"]


@dataclass(frozen=True, kw_only=True)
class Ulira:
    """The result of the attack.

    balanced_accuracy is taken over target models and points; both groups have the same weight. auc and tpr
    (true positives at 1 % false positives, where `unlearned` is positive) use the scores of all targets and
    points together. At chance level the three are 0.5, 0.5 and 0.01; a perfect attack has 1, 1 and 1.
    intervals has their three names as keys. per_point (n_points,) is the balanced accuracy of each point.
    n_targets counts the targets of both groups, unlearned first. n_nonfinite counts NaN and infinite margins,
    shadows included.
    """

    balanced_accuracy: float
    auc: float
    tpr: float
    intervals: Mapping[str, Interval]
    per_point: PerPoint
    n_targets: tuple[int, int]
    n_nonfinite: int


class World(NamedTuple):
    """The margins of one group of models in float64, NaN where not finite.

    The attacker learns from the shadows and classifies the targets.
    """

    shadows: Shadows
    targets: _Targets


def ulira(
    *,
    unlearned: Float[np.ndarray, "..."],
    unseen: Float[np.ndarray, "..."],
    variance_floor: float = VARIANCE_FLOOR,
    n_resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Ulira:
    """Return how well the attack distinguishes unlearned models from models that never saw the points.

    unlearned (n_unlearned, n_points) and unseen (n_unseen, n_points) hold one margin for each model and
    point, with at least 4 models each. The seed and the margins choose the shadows, so the order of models
    does not matter. A score is the difference of two Gaussian log densities, whose variances are at least
    variance_floor (nats squared). A tie counts half.

    Constant outputs that are the same in both groups score 50 %, as perfect unlearning does: show accuracy
    beside it. A target whose margin is not finite counts as classified correctly, in either group. So do all
    targets on a point without two finite shadows in each group.

    The intervals show how the result varies over new targets while the shadows stay the same: the estimate ±
    the normal quantile times the standard deviation of n_resamples bootstraps, cut to [0, 1].

    Raises ShapeError, DataError or ConfigError. Source: Hayes et al. 2024, arXiv 2403.01218.
    """
    check_worlds(
        {"unlearned": unlearned, "unseen": unseen}, fewest=FEWEST_MODELS, why=", half of them shadows"
    )
    require_number("variance_floor", variance_floor, LEAST_FLOOR, LARGEST)
    require_count("n_resamples", n_resamples, 2, MOST_RESAMPLES)
    require_share("level", level)
    worlds = _split(unlearned, seed), _split(unseen, seed)
    positive, negative = _scores(*worlds, variance_floor)
    roc, n_targets = Roc(positive=positive, negative=negative), (len(positive), len(negative))
    return Ulira(
        **roc.rates()._asdict(),
        intervals=_intervals(
            roc, n_targets, n_resamples, float(ndtri(0.5 + level / 2)), generator("ulira", seed)
        ),
        per_point=(rightness(positive).mean(axis=0) + rightness(-negative).mean(axis=0)) / 2,
        n_targets=n_targets,
        n_nonfinite=int((~np.isfinite(unlearned)).sum() + (~np.isfinite(unseen)).sum()),
    )


def _split(margins: Margins, seed: int) -> World:
    """Return one half of the models as shadows and the other half as targets.

    A digest of the seed and of a model's margins decides on its half.
    """
    wide = margins.astype(np.float64)
    wide = np.where(np.isfinite(wide), np.clip(wide, -LARGEST, LARGEST), np.nan) + 0.0
    order = sorted(
        range(len(wide)),
        key=lambda model: hashlib.sha256(f"ulira {seed} ".encode() + wide[model].tobytes()).digest(),
    )
    # Identical models, such as diverged ones, lie side by side in this order. Models alternate between the
    # halves, so that identical ones are spread over both.
    return World(wide[order[1::2]], wide[order[::2]])


def _scores(unlearned: World, unseen: World, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the log likelihood ratios, `unlearned` over `unseen`, of the targets of both groups.

    A target that counts as classified correctly without a ratio, see `ulira`, has an infinite score with the
    sign of its group.
    """
    first, second = (_Gaussians.fitted(world.shadows, floor) for world in (unlearned, unseen))

    def score(targets: _Targets, told: float) -> _Targets:
        ratio = first.log_density(targets) - second.log_density(targets)
        return np.where(first.is_known & second.is_known & ~np.isnan(targets), ratio, told)

    return score(unlearned.targets, np.inf), score(unseen.targets, -np.inf)


@dataclass(frozen=True, kw_only=True)
class _Gaussians:
    """A Gaussian for each point; is_known is true where at least two shadows are finite."""

    mean: PerPoint
    variance: PerPoint
    is_known: Bool[np.ndarray, " n_points"]

    @classmethod
    def fitted(cls, shadows: Shadows, floor: float) -> "_Gaussians":
        is_finite = ~np.isnan(shadows)
        n_finite = is_finite.sum(axis=0)
        mean = np.where(is_finite, shadows, 0.0).sum(axis=0) / np.maximum(n_finite, 1)
        squares = np.where(is_finite, shadows - mean, 0.0) ** 2
        return cls(
            mean=mean,
            variance=np.maximum(squares.sum(axis=0) / np.maximum(n_finite - 1, 1), floor),
            is_known=n_finite > 1,
        )

    def log_density(self, margins: _Targets) -> _Targets:
        """Return the log density up to a constant."""
        return -((margins - self.mean) ** 2 / self.variance + np.log(self.variance)) / 2


def _intervals(
    roc: Roc, n_targets: tuple[int, int], n_resamples: int, width: float, rng: np.random.Generator
) -> dict[str, Interval]:
    drawn = [
        roc.rates(*(rng.multinomial(n, np.full(n, 1 / n)).astype(float) for n in n_targets))
        for _ in range(n_resamples)
    ]
    # The variance of bootstraps of n targets is (n - 1) / n of the variance over new targets.
    half = width * np.std(drawn, axis=0) * max(np.sqrt(n / (n - 1)) for n in n_targets)
    centre = roc.rates()
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(Rates._fields)}
