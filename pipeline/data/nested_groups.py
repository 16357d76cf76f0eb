"""Groups of training points that may have to be forgotten together, stored as lines of ranked ids.

Every prefix of a line is a group. Subset models can be trained without the groups, and attribution can count
how much of each was kept.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.arrays import Labels, Mask, PerTrain
from pipeline.core.errors import DataError, ShapeError
from pipeline.core.seeds import generator
from pipeline.data.masks import count_kept

BALL, CAP, HARD = 0, 1, 2
# The longest group. Larger groups are most of a class, and requests that large are better served by
# retraining.
LENGTH = 128
# Sizes of the groups that a designed subset drops, drawn log-uniformly. The upper end is also the limit on
# the points that one group takes.
SMALLEST, _LARGEST = 4, 80
# The probabilities that a designed subset draws a ball, a cap, or hard points.
_SHARES = (0.35, 0.35, 0.30)
# At least this share of the points that a designed subset drops, and at most all, are dropped in groups, up
# to less than one smallest group. The others are drawn uniformly.
GROUPED = 0.5


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Groups of points: ids (n_lines, LENGTH), with -1 after the end of a line; kinds (n_lines,).

    A deletion request seldom takes points at random: it takes a neighbourhood, one side of a class, or the
    points that were hardest to learn. Lines list such groups at all sizes at once. Line i < n_train is the
    BALL around point i; then come the CAP lines, then one HARD line. difficulty (n_train,) is how large the
    gradient of each point still is in trained models.
    """

    ids: Int[np.ndarray, "n_lines length"]
    kinds: Int[np.ndarray, " n_lines"]
    difficulty: PerTrain

    def of(self, kind: int) -> Int[np.ndarray, "n_chosen length"]:
        """Return the lines of one kind."""
        return self.ids[self.kinds == kind]


def draw_lines(
    features: Float[np.ndarray, "n_train n_features"],
    labels: Labels,
    difficulty: PerTrain,
    *,
    caps_per_class: int = 80,
    seed: int = 0,
) -> Lines:
    """Return the lines of training points.

    features (n_train, n_features), labels (n_train,) and difficulty (n_train,) describe the points. A ball
    lists the points of one label by falling inner product with its centre, the centre first. A cap lists them
    by their projection on a random direction that varies as the class does (a normal mixture of its centred
    features). The hard line lists all points by falling difficulty. Every line ends after LENGTH points.
    Raises ShapeError if the lengths differ, and DataError on features or difficulties that are not finite.
    """
    n_train = len(features)
    if len(labels) != n_train or len(difficulty) != n_train:
        raise ShapeError(
            f"{n_train} rows of features, {len(labels)} labels, {len(difficulty)} difficulties; give one of "
            "each for each training point"
        )
    finite = np.isfinite(features).all(axis=1) & np.isfinite(difficulty)
    if not finite.all():
        raise DataError(
            f"training point {np.flatnonzero(~finite)[0]} has non-finite features in a scout model, which "
            "has diverged; lower recipe.learning_rate"
        )
    balls, caps = np.full((n_train, LENGTH), -1), []
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        similarity = features[members] @ features[members].T
        np.fill_diagonal(similarity, np.inf)
        balls[members] = _line(members[np.argsort(-similarity, axis=1, kind="stable")])
        centred = features[members] - features[members].mean(axis=0)
        mixtures = generator("caps", seed, label).standard_normal((caps_per_class, len(members)))
        caps.append(_line(members[np.argsort(-(mixtures @ centred) @ centred.T, axis=1, kind="stable")]))
    hard = _line(np.argsort(-difficulty, kind="stable")[None])
    kinds = np.repeat([BALL, CAP, HARD], [n_train, sum(map(len, caps)), 1])
    return Lines(
        ids=np.concatenate([balls, *caps, hard]), kinds=kinds, difficulty=difficulty.astype(np.float64)
    )


def designed_mask(lines: Lines, keep_fraction: float, seed: int) -> Mask:
    """Return a mask (n_train,) that drops whole groups and single points, and keeps `count_kept` points."""
    n_train = len(lines.difficulty)
    n_dropped = n_train - count_kept(n_train, keep_fraction)
    rng = generator("designed_mask", seed)
    mask = np.ones(n_train, dtype=bool)
    budget = round(n_dropped * rng.uniform(GROUPED, 1.0))
    while (left := budget - int((~mask).sum())) >= SMALLEST:
        mask[_group(lines, min(left, _LARGEST), rng)] = False
    others = rng.choice(np.flatnonzero(mask), n_dropped - int((~mask).sum()), replace=False)
    mask[others] = False
    return mask


def _group(lines: Lines, largest: int, rng: np.random.Generator) -> Int[np.ndarray, " _"]:
    """Return a group of at most largest points.

    It is the start of a line; a group of hard points is thinned at random.
    """
    kind = rng.choice(len(_SHARES), p=_SHARES)
    size = int(np.exp(rng.uniform(np.log(SMALLEST), np.log(largest + 1))))
    # Not a line of lines.of(kind), because that copies all balls (51 MB for 50,000 points) for every group.
    candidates = np.flatnonzero(lines.kinds == kind)
    line = lines.ids[candidates[rng.integers(len(candidates))]]
    if kind == HARD:
        listed = line[: min(round(size / rng.uniform(0.3, 1.0)), LENGTH)]
        return rng.permutation(listed[listed >= 0])[:size]
    return line[:size][line[:size] >= 0]


def _line(ordered: Int[np.ndarray, "n_lines n_listed"]) -> Int[np.ndarray, "n_lines length"]:
    """Return the first LENGTH ids of each row, with -1 after its end."""
    lines = np.full((len(ordered), LENGTH), -1)
    lines[:, : ordered.shape[1]] = ordered[:, :LENGTH]
    return lines
