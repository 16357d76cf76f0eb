"""U-LiRA: how well a likelihood-ratio attack tells unlearned models from models that never saw a point, by one margin of each model and point.

Half of the models of each world are shadows, from which the attacker learns a Gaussian for each point and
world; the other half are told apart.
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

# A world's half of two: fewer shadows have no variance.
FEWEST_MODELS = 4
# In nats squared: shadows nearer than a thousandth of a nat are told by no more than that.
VARIANCE_FLOOR = 1e-6
# Its square over the least floor is still finite in float64.
LARGEST = 1e100
LEAST_FLOOR = 1e-30

Shadows = Float[np.ndarray, "n_shadows n_points"]
_Targets = Float[np.ndarray, "n_targets n_points"]


@dataclass(frozen=True, kw_only=True)
class Ulira:
    """What the attack reaches: 0.5, 0.5 and 0.01 if nothing can be told, 1, 1 and 1 if all is.

    balanced_accuracy over target models and points, both worlds weighing alike; auc and tpr (true positives
    at 1 % false ones, where `unlearned` is positive) of the scores of all targets and points together;
    intervals by the names of these three; per_point (n_points,) the balanced accuracy of each point;
    n_targets of both worlds, unlearned first; n_nonfinite the margins that were NaN or infinite, shadows
    included.
    """

    balanced_accuracy: float
    auc: float
    tpr: float
    intervals: Mapping[str, Interval]
    per_point: PerPoint
    n_targets: tuple[int, int]
    n_nonfinite: int


class World(NamedTuple):
    """The margins of one world in float64, NaN where not finite.

    Those that the attacker learns from and those it is to tell.
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
    """Return how well targets are told as unlearned or as never having seen the points.

    unlearned (n_unlearned, n_points) and unseen (n_unseen, n_points) hold one margin for each model and
    point, at least 4 models each; seed and content choose which are shadows, so the order of models does not
    matter. A score is the difference of two Gaussian log densities, of at least variance_floor (nats
    squared); a tie counts half. Outputs that are constant, the same in both worlds, score 50 %, as perfect
    unlearning does: show accuracy beside it. A target's non-finite margin counts as told, in either world,
    and so does a point without two finite shadows in each. The intervals are those over new targets, given
    the shadows: the estimate ± the normal quantile times the deviation between n_resamples bootstraps, cut to
    [0, 1]. Raises ShapeError, DataError or ConfigError. Source: Hayes et al. 2024, arXiv 2403.01218.
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
    """Return one half as shadows, the other as targets.

    A model goes where a digest of its margins and the seed sends it.
    """
    wide = margins.astype(np.float64)
    wide = np.where(np.isfinite(wide), np.clip(wide, -LARGEST, LARGEST), np.nan) + 0.0
    order = sorted(
        range(len(wide)),
        key=lambda model: hashlib.sha256(f"ulira {seed} ".encode() + wide[model].tobytes()).digest(),
    )
    # By turns, so that models which are all alike, such as diverged ones, do not fall to one side.
    return World(wide[order[1::2]], wide[order[::2]])


def _scores(unlearned: World, unseen: World, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return log likelihood ratios, `unlearned` over `unseen`, of the targets of both worlds.

    What counts as told has infinity on its own side.
    """
    first, second = (_Gaussians.fitted(world.shadows, floor) for world in (unlearned, unseen))

    def score(targets: _Targets, told: float) -> _Targets:
        ratio = first.log_density(targets) - second.log_density(targets)
        return np.where(first.is_known & second.is_known & ~np.isnan(targets), ratio, told)

    return score(unlearned.targets, np.inf), score(unseen.targets, -np.inf)


@dataclass(frozen=True, kw_only=True)
class _Gaussians:
    """A Gaussian for each point; is_known says where two finite shadows or more made it."""

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
        """Return it up to a constant."""
        return -((margins - self.mean) ** 2 / self.variance + np.log(self.variance)) / 2


def _intervals(
    roc: Roc, n_targets: tuple[int, int], n_resamples: int, width: float, rng: np.random.Generator
) -> dict[str, Interval]:
    drawn = [
        roc.rates(*(rng.multinomial(n, np.full(n, 1 / n)).astype(float) for n in n_targets))
        for _ in range(n_resamples)
    ]
    # Bootstraps of n targets vary by (n - 1) / n of what new ones would.
    half = width * np.std(drawn, axis=0) * max(np.sqrt(n / (n - 1)) for n in n_targets)
    centre = roc.rates()
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(Rates._fields)}
