"""Kernel datamodels: ridge on the masks and on the kept share of each *group*.

In a linear datamodel the last point of a neighbourhood matters as much as the first. Real models differ: they
hardly miss a point as long as similar points remain, so the loss of a whole group may cost more than the sum
of its points. The kernel between two subsets is therefore a sum of parts. One part is the masks, with each
point weighted by its difficulty: easy points change nothing, and their noise is shrunk away. The other parts
are saturating functions of the kept shares of balls, caps and hard groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from typing_extensions import override

from pipeline.attribution.estimator import Arrays, Guide
from pipeline.attribution.evidence import Block, Evidence, check_outputs
from pipeline.attribution.gradients.influence import GroupInfluence
from pipeline.attribution.linear import penalties
from pipeline.attribution.linear.dual import DualEstimator, Kernel
from pipeline.attribution.linear.subset_features import KeptShares, Points, SubsetFeatures, centre_of
from pipeline.core.arrays import Indices, Masks
from pipeline.core.errors import ShapeError
from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting
from pipeline.data.nested_groups import BALL, CAP, HARD, Lines

# Sizes of the groups whose kept share is a feature.
SIZES = (3, 8, 20, 50, 120)
# The least variance of a point's weight, in units of the mean, so that points that models find easy still
# count for something.
EASIEST = 0.03
# The most lines (ranked ids whose prefixes are groups) of one kind that serve as features. Beyond a few
# thousand, balls overlap so much that more lines add no information.
MOST_LINES = 4096
# Number of points, or of groups, whose features are computed at once.
_COLUMNS = 2048


class GroupKernel(DualEstimator):
    """Regression with a kernel of masks and of groups.

    balls, caps, hard: the weights of the parts for those groups; the part for masks has weight 1.
    effect_shrinkage: the penalty of effects, as a share of the penalty of predictions. The penalty of
    predictions has the least leave-one-out error, chosen for each output, but shrinks the effects of groups
    too much. curvature: the part of an effect that lies beyond all subsets seen, as a share of the effect;
    the standard error includes it. guide: an estimator of influence steps of the scouts, towards which
    effects move as far as their noise allows (see `guided`). Models of many parameters need `guide.layers:
    last`.
    """

    name: ClassVar[str] = "kernel"
    revision: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"subset", "groups"})

    balls: float = setting(neutral=0.6, ge=0, le=1e6)
    caps: float = setting(neutral=0.6, ge=0, le=1e6)
    hard: float = setting(neutral=0.4, ge=0, le=1e6)
    effect_shrinkage: float = setting(neutral=0.25, gt=0, le=1)
    curvature: float = setting(neutral=0.15, ge=0, le=1e6)
    guide: GroupInfluence | None = setting(neutral=None)

    @override
    def guided_by(self) -> Guide | None:
        return None if self.guide is None else Guide(estimator=self.guide, curvature=self.curvature)

    @override
    def kernel(self, evidence: Evidence) -> "SubsetKernel":
        return evidence.once(
            ("kernel", self.balls, self.caps, self.hard),
            lambda: SubsetKernel(evidence.masks, evidence.groups(), self.balls, self.caps, self.hard),
        )

    @override
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `penalty`, `effect_penalty`, `r2` and `amplitude`, each (n_outputs,).

        The penalties are absolute. `r2` is the leave-one-out share of variance explained at `penalty`.
        """
        check_outputs(evidence.masks, block.outputs)
        values = factor["eigenvalues"]
        squares = penalties.coordinates(factor, block.outputs) ** 2
        penalty = penalties.best_penalty(values, squares)
        _, r2 = penalties.errors_at(penalty, values, squares)
        effect = self.effect_shrinkage * penalty
        # The amplitude under which the outputs are most likely, given the kernel and the penalty.
        distinct, which = np.unique(penalty, return_inverse=True)
        amplitude = (1 / (values + distinct[:, None]) @ squares)[which, np.arange(len(which))] / len(values)
        return {"penalty": penalty, "effect_penalty": effect, "r2": r2, "amplitude": amplitude}


@dataclass(frozen=True, eq=False)
class SubsetKernel(Kernel):
    """A weighted sum of parts, each centred over the fitted masks and scaled to a mean diagonal of 1.

    fitted (n_models, n_train): the fitted masks. Raises ShapeError if masks and lines are over different
    training points.
    """

    fitted: Masks
    lines: Lines
    balls: float
    caps: float
    hard: float

    def __post_init__(self) -> None:
        n_train = len(self.lines.difficulty)
        if self.fitted.shape[1] != n_train:
            raise ShapeError(
                f"masks are over {self.fitted.shape[1]} training points, the lines over {n_train}; take both "
                "from one data set"
            )

    @override
    def between(self, masks: Bool[np.ndarray, "n_masks n_train"]) -> Float[np.ndarray, "n_masks n_models"]:
        total = np.zeros((len(masks), len(self.fitted)))
        for weight, chunks in self._parts():
            part, diagonal = np.zeros_like(total), 0.0
            for features in chunks:
                fitted = features.of(self.fitted)
                centre = centre_of(fitted)
                part += (features.of(masks) - centre) @ (fitted - centre).T
                diagonal += float(np.square(fitted - centre).sum()) / len(fitted)
            total += _scaled(weight, diagonal) * part
        return total

    @override
    def removing(
        self, sets: Sequence[Indices]
    ) -> tuple[Float[np.ndarray, "n_sets n_models"], Float[np.ndarray, " n_sets"]]:
        removed = _indicator(sets, self.fitted.shape[1])
        changed, prior = np.zeros((len(sets), len(self.fitted))), np.zeros(len(sets))
        for weight, chunks in self._parts():
            part, own, diagonal = np.zeros_like(changed), np.zeros(len(sets)), 0.0
            for features in chunks:
                fitted = features.of(self.fitted)
                fitted -= centre_of(fitted)
                change = features.change(removed)
                part += change @ fitted.T
                own += (change * change).sum(axis=1)
                diagonal += float(np.square(fitted).sum()) / len(fitted)
            changed += _scaled(weight, diagonal) * part
            prior += _scaled(weight, diagonal) * own
        return changed, prior

    def _parts(self) -> Iterator[tuple[float, list[SubsetFeatures]]]:
        """Yield the weight of each part and its features, some columns at a time."""
        variance = np.maximum(self.lines.difficulty / max(self.lines.difficulty.mean(), 1e-12), EASIEST)
        yield (
            1.0,
            [
                Points(slice(start, start + _COLUMNS), np.sqrt(variance))
                for start in range(0, len(variance), _COLUMNS)
            ],
        )
        for kind, weight in ((BALL, self.balls), (CAP, self.caps), (HARD, self.hard)):
            if weight > 0:
                shares = _memberships(self.lines, kind)
                yield (
                    weight,
                    [
                        KeptShares(shares[start : start + _COLUMNS])
                        for start in range(0, shares.shape[0], _COLUMNS)
                    ],
                )


def _scaled(weight: float, diagonal: float) -> float:
    """Return the factor that gives a part its weight; 0 if the part does not vary over the fitted masks."""
    return weight / diagonal if diagonal > 0 else 0.0


def _indicator(sets: Sequence[Indices], n_train: int) -> sparse.csr_array:
    """Return which points are in which set, (n_sets, n_train).

    The result does not depend on the order in which a set lists its points.
    """
    ends = np.concatenate([[0], np.cumsum([len(indices) for indices in sets])])
    return sparse.csr_array(
        (np.ones(ends[-1]), np.concatenate([np.sort(indices) for indices in sets]), ends),
        shape=(len(sets), n_train),
    )


def _memberships(lines: Lines, kind: int) -> sparse.csr_array:
    """Return which points are in the groups of one kind, (n_groups, n_train); each row sums to 1.

    The groups are the first ids of up to MOST_LINES lines of the kind, at each of SIZES.
    """
    chosen = lines.of(kind)
    if len(chosen) > MOST_LINES:
        chosen = chosen[
            np.sort(generator("kernel_lines", kind).choice(len(chosen), MOST_LINES, replace=False))
        ]
    groups = [line[:size][line[:size] >= 0] for line in chosen for size in SIZES]
    sizes = np.array([len(group) for group in groups])
    values = np.repeat(1 / sizes, sizes).astype(np.float32)
    return sparse.csr_array(
        (values, np.concatenate(groups), np.concatenate([[0], np.cumsum(sizes)])),
        shape=(len(groups), len(lines.difficulty)),
    )
