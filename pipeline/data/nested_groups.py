"""Groups of training points that may have to be forgotten together, stored as lines of ranked ids.

A line is a ranked list of ids, and every prefix of a line is a group. Designed subset models are trained
without whole groups. Attribution counts how many points of each group a model was trained on.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.arrays import Labels, Mask, PerTrain
from pipeline.core.errors import DataError, ShapeError
from pipeline.core.seeds import generator
from pipeline.data.masks import count_kept

# The kinds of lines; class Lines says what each is.
BALL, CAP, HARD = 0, 1, 2
# The number of points in a line, and so in its largest group. Larger groups are most of a class; for requests
# that large, retraining is the better answer.
LENGTH = 128
# The smallest and the largest group that a designed subset drops; sizes are drawn log-uniformly between them.
SMALLEST, _LARGEST = 4, 80
# The probabilities that a designed subset draws a ball, a cap, or hard points.
_SHARES = (0.35, 0.35, 0.30)
# Of the points that a designed subset drops, a share is dropped in groups. Each subset draws its share
# uniformly between GROUPED and 1. The other points, and a rest smaller than SMALLEST, are drawn uniformly.
GROUPED = 0.5


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Groups of points: ids (n_lines, LENGTH), with -1 after the end of a line; kinds (n_lines,).

    A deletion request seldom takes points at random: it takes a neighbourhood (BALL), one side of a class
    (CAP), or the points that were hardest to learn (HARD). The prefixes of a line are such groups of all
    sizes. Line i < n_train is the BALL around point i; then come the CAP lines, then one HARD line.
    difficulty (n_train,) is the mean norm of each point's last-layer gradient in trained models.
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
    lists the points of one label by falling inner product with its centre, the centre first. A cap lists the
    points of one label by falling projection on a random direction. The direction is a sum of the centred
    features of the class with random normal weights, so it follows the directions in which the class varies.
    The hard line lists all points by falling difficulty. Every line ends after LENGTH points. Raises
    ShapeError if the lengths differ, and DataError on features or difficulties that are not finite.
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

    The group is the start of a random line. A group of hard points is a random part of such a start.
    """
    kind = rng.choice(len(_SHARES), p=_SHARES)
    size = int(np.exp(rng.uniform(np.log(SMALLEST), np.log(largest + 1))))
    # lines.of(kind) is not used, because it copies all balls (51 MB for 50,000 points) for every group.
    candidates = np.flatnonzero(lines.kinds == kind)
    line = lines.ids[candidates[rng.integers(len(candidates))]]
    if kind == HARD:
        listed = line[: min(round(size / rng.uniform(0.3, 1.0)), LENGTH)]
        return rng.permutation(listed[listed >= 0])[:size]
    return line[:size][line[:size] >= 0]


def _line(ordered: Int[np.ndarray, "n_lines n_listed"]) -> Int[np.ndarray, "n_lines length"]:
    """Return the first LENGTH ids of each row, filled up with -1 if the row is shorter."""
    lines = np.full((len(ordered), LENGTH), -1)
    lines[:, : ordered.shape[1]] = ordered[:, :LENGTH]
    return lines
