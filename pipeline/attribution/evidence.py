"""The evidence that estimators learn from.

It consists of the masks of models, their outputs on a block of points, and what the scouts show: groups,
features, and the scouts themselves.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Int
from scipy import sparse

from pipeline.core.arrays import (
    HeldoutMasks,
    Indices,
    Masks,
    Outputs,
    require_array,
    require_floats,
    require_masks,
)
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data.nested_groups import Lines
from pipeline.data.scout_views import Views
from pipeline.training.gradients import Checkpoints

T = TypeVar("T")

# Number of outputs whose seed effects are computed at once. With 20,000 models, each temporary array takes 80
# MB.
_COLUMNS = 512
# The largest output that can be squared and summed in float64, with room for weights.
_LARGEST = 1e100


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The masks of models, and further evidence that only some estimators need.

    masks (n_models, n_train): those of all subset models. heldout: masks whose outputs are to be predicted.
    lines, views and trained: the groups, the features and the scouts, for estimators whose `needs` names
    `groups`, `views` and `checkpoints`.

    For an estimator that needs no subset models, masks are those of models trained on all points and keep
    every point. Predictions add effects to the mean outputs of these models.
    """

    masks: Masks
    heldout: HeldoutMasks | None = None
    lines: Lines | None = None
    views: Views | None = None
    trained: Checkpoints | None = None
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        require_masks("masks", self.masks)
        if self.heldout is not None:
            require_masks("heldout masks", self.heldout, self.n_train)

    @property
    def n_train(self) -> int:
        """Number of training points."""
        return self.masks.shape[1]

    def groups(self) -> Lines:
        """Return the groups, stored as lines of ids; raises ConfigError if there are none."""
        if self.lines is None:
            raise ConfigError("this estimator needs groups of training points; add `groups` to its `needs`")
        return self.lines

    def seen(self) -> Views:
        """Return the views of all points; raises ConfigError if there are none."""
        if self.views is None:
            raise ConfigError(
                "this estimator needs the scouts' features of all points; add `views` to its `needs`"
            )
        return self.views

    def checkpoints(self) -> Checkpoints:
        """Return the trained models; raises ConfigError if there are none."""
        if self.trained is None:
            raise ConfigError(
                "this estimator needs trained models and their states; add `checkpoints` to its `needs`"
            )
        return self.trained

    def once(self, name: Hashable, compute: Callable[[], T]) -> T:
        """Return compute(), which is called only when this name is given for the first time.

        This is for results that are the same for every block of outputs, such as those that depend on masks
        alone.
        """
        if name not in self._kept:
            self._kept[name] = compute()
        found: T = self._kept[name]
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Outputs of some points: the logit of every class, or the margin.

    points (n_block_points,): their ids. outputs (n_models, n_outputs): one row for each mask of the evidence,
    and per_point adjacent columns for each point. per_point: n_classes for logits, 1 for margins. Raises
    ShapeError if the numbers do not agree.
    """

    points: Indices
    outputs: Outputs
    per_point: int

    def __post_init__(self) -> None:
        require_array("points", self.points, kinds="iu", ndim=1)
        require_floats("outputs", self.outputs, ndim=2)
        if self.outputs.shape[1] != len(self.points) * self.per_point:
            raise ShapeError(
                f"{self.outputs.shape[1]} outputs of {len(self.points)} points; expected {self.per_point} "
                "for each point"
            )


def check_masks(masks: Masks) -> None:
    """Raise ConfigError or DataError unless masks (n_models, n_train) are enough to learn from."""
    if len(masks) < 3:
        raise ConfigError(
            f"datamodels need at least 3 subset models, got {len(masks)}; raise populations.subset.n_models"
        )
    if (masks == masks[0]).all():
        raise DataError(
            f"the masks of all {len(masks)} subset models are equal, so nothing can be attributed; raise "
            "populations.subset.n_models, "
            "lower keep_fraction, or import models whose masks differ"
        )


def check_outputs(masks: Bool[np.ndarray, "n_masks n_train"], outputs: Outputs) -> None:
    """Raise ShapeError or DataError unless outputs (n_models, n_outputs) are usable with masks.

    They need one row for each mask, and finite values small enough to be squared.
    """
    if len(masks) != len(outputs):
        raise ShapeError(
            f"{len(masks)} masks but outputs of {len(outputs)} models; give one row for each model"
        )
    if not np.isfinite(outputs).all():
        bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
        raise DataError(
            f"{len(bad)} subset models have non-finite outputs (first: member {bad[0]}); lower "
            "recipe.learning_rate"
        )
    largest = float(np.abs(outputs).max(initial=0.0))
    if largest > _LARGEST:
        raise DataError(
            f"outputs reach {largest:.3g}; datamodels square them, so give outputs up to {_LARGEST:g}"
        )


def without_seed_effects(
    outputs: Outputs, seeds: Int[np.ndarray, " n_models"], populations: Int[np.ndarray, " n_models"]
) -> Outputs:
    """Return outputs (n_models, n_outputs) less the estimated effects of their seeds.

    seeds and populations (n_models,) name the seed and the population of each model. Models of one seed share
    initialisation and order of batches, and hence a part of their outputs that no mask explains. The effect
    of a seed is estimated as the mean over its models of the deviation from their population's mean. It is
    shrunk by 1 − (mean square within)/(mean square between), the one-way random effects of Searle, Casella
    and McCulloch (1992). If each seed has only one model, nothing is removed. Outputs that are not all finite
    are returned unchanged, because a mean over models would spread such values to all models. Raises
    ShapeError if the lengths differ.
    """
    if not len(outputs) == len(seeds) == len(populations):
        raise ShapeError(
            f"{len(outputs)} outputs, {len(seeds)} seeds, {len(populations)} populations; give one of each "
            "for each model"
        )
    if not np.isfinite(outputs).all():
        return outputs
    _, which = np.unique(seeds, return_inverse=True)
    _, where = np.unique(populations, return_inverse=True)
    n_seeds, freedom = which.max() + 1, len(outputs) - which.max() - where.max() - 1
    if n_seeds < 2 or freedom < 1:
        return outputs
    cleaned = np.empty_like(outputs)
    by_seed, by_population = _members(which), _members(where)
    per_seed, per_population = np.bincount(which)[:, None], np.bincount(where)[:, None]
    for start in range(0, outputs.shape[1], _COLUMNS):
        part = outputs[:, start : start + _COLUMNS].astype(np.float64)
        deviations = part - (by_population @ part / per_population)[where]
        effects = by_seed @ deviations / per_seed
        between = (per_seed * np.square(effects)).sum(axis=0) / (n_seeds - 1)
        within = np.square(deviations - effects[which]).sum(axis=0) / freedom
        effects *= np.maximum(1 - within / np.where(between > 0, between, np.inf), 0.0)
        cleaned[:, start : start + _COLUMNS] = part - effects[which]
    return cleaned


def _members(which: Int[np.ndarray, " n_models"]) -> sparse.csr_array:
    """Return a matrix (n_groups, n_models) of 0 and 1 that marks the models of each group.

    The matrix is sparse, because there may be as many groups as models.
    """
    return sparse.csr_array(
        (np.ones(len(which)), (which, np.arange(len(which)))), shape=(which.max() + 1, len(which))
    )
