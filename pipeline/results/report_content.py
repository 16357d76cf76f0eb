"""What a report shows, as plain frozen values.

It knows neither stores nor configs, so a report can be drawn from anything.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Shaped

from pipeline.core.arrays import Indices, Labels, Margins, PerPoint
from pipeline.core.errors import DataError, ShapeError
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores
from pipeline.results.attribution_content import (
    CurveContent,
    ForecastContent,
    ForgetCurveContent,
    InfluenceContent,
)
from pipeline.results.formatting import in_unit

# A method whose request costs this fraction of a retraining or more is not cheap.
CHEAP = 0.5


class Role(StrEnum):
    """What an unlearner is to a reader; it follows from what the unlearner needs, never from its name."""

    DATAMODEL = "datamodel"
    RIVAL = "rival"
    NOTHING = "nothing"
    PREDICTOR = "predictor"
    BOUND = "bound"


def role_of(needs: frozenset[str], *, moves_weights: bool) -> Role:
    """Return what an unlearner is.

    One that needs true oracles is a bound, a predicted effect without moved weights a predictor.
    """
    if "oracle" in needs:
        return Role.BOUND
    if "effect" in needs:
        return Role.DATAMODEL if moves_weights else Role.PREDICTOR
    return Role.RIVAL if moves_weights else Role.NOTHING


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one request costs.

    samples: used in gradient evaluations by each model; fraction: the same in units of one retraining;
    amortised_fraction: that with this request's share of the datamodel added.
    """

    samples: float
    fraction: float
    amortised_fraction: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SnapshotContent:
    """Unlearned models along the way: what they cost so far, and what each judge says of them, by its label.

    after: the epochs or steps taken so far, as unit says.
    """

    after: int
    unit: str
    cost: Cost
    scores: Mapping[str, Scores]


@dataclass(frozen=True, kw_only=True, eq=False)
class MethodRow:
    """One unlearner on one forget set.

    needs and moves_weights are the unlearner's own. scores are those of each judge by its label; the first
    judge is the headline. points (n_forget,) are the first judge's values of the forgotten points, NaN where
    it gives none; margins (n_models, n_forget) are after unlearning. snapshots are the models along the way,
    in order, if the unlearner takes them; the last of them is the row itself.
    """

    label: str
    plugin: str
    needs: frozenset[str]
    moves_weights: bool
    scores: Mapping[str, Scores]
    cost: Cost
    points: PerPoint
    margins: Margins
    snapshots: tuple[SnapshotContent, ...] = ()

    @property
    def n_nonfinite(self) -> int:
        """How many outputs of models are not finite, as the first judge that counts them says."""
        return next(
            (scores.counts[NONFINITE] for scores in self.scores.values() if NONFINITE in scores.counts), 0
        )

    @property
    def role(self) -> Role:
        """What this unlearner is."""
        return role_of(self.needs, moves_weights=self.moves_weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class SetContent:
    """One forget set and every unlearner judged on it.

    judges by label, the headline first; floor: the scores that each gives a second group of oracles. ids,
    labels and true_labels (n_forget,): training ids, labels as given, and as they were before noise, if
    known. images (n_forget, height, width) or (n_forget, height, width, 3), None if the inputs are no images.
    before (n_models, n_forget) and oracle (n_oracles, n_forget): margins of the full models and of oracles.
    points_title names Row.points. forecast is what the datamodel predicted, influences are examples of
    forgotten points and what helps and hurts them, both absent without a datamodel. Raises DataError without
    any point, ShapeError if the arrays disagree in their points.
    """

    label: str
    plugin: str
    ids: Indices
    labels: Labels
    true_labels: Labels | None
    images: Shaped[np.ndarray, "n_forget height width *channels"] | None
    judges: Mapping[str, Judge]
    floor: Mapping[str, Scores]
    before: Margins
    oracle: Float[np.ndarray, "n_oracles n_points"]
    rows: tuple[MethodRow, ...]
    points_title: str = ""
    forecast: ForecastContent | None = None
    influences: tuple[InfluenceContent, ...] = ()

    @property
    def judge(self) -> Judge:
        """The judge whose headline the words and figures follow."""
        return self.judges[self._judge_label]

    @property
    def headline(self) -> dict[str, Score]:
        """What a second group of oracles comes to by split.

        The floor of the headline, the split that matters most first.
        """
        scores = self.floor[self._judge_label]
        return scores.of(scores.headline)

    @property
    def main(self) -> Score:
        """The floor on the split that matters most."""
        return next(iter(self.headline.values()))

    @property
    def title(self) -> str:
        """What the headline is called."""
        return self.judge.title(self.main.statistic)

    @property
    def judged(self) -> tuple[MethodRow, ...]:
        """The rows that the first judge has judged."""
        return tuple(
            row
            for row in self.rows
            if self._judge_label in row.scores and self.headline.keys() <= self.of(row).keys()
        )

    def of(self, row: MethodRow) -> dict[str, Score]:
        """Return the headline of a judged row by split."""
        return row.scores[self._judge_label].of(self.main.statistic)

    def main_of(self, row: MethodRow) -> Score:
        """Return the headline of a judged row on the split that matters most."""
        return self.of(row)[self.main.split]

    def curve_of(self, row: MethodRow) -> list[tuple[float, Score]]:
        """Return the cost, as a fraction of one retraining, and the headline of each snapshot of a row.

        The headline is that on the split that matters most. Snapshots without it are left out.
        """
        judged = [one for one in row.snapshots if self._judge_label in one.scores]
        scores = [one.scores[self._judge_label].get(self.main.statistic, self.main.split) for one in judged]
        pairs = zip(judged, scores, strict=True)
        return [(one.cost.fraction, score) for one, score in pairs if score is not None]

    @property
    def place(self) -> str:
        """The points that the headline is about."""
        return {"forget": "forgotten points", "retain": "retained points"}.get(
            self.main.split, f"{self.main.split} points"
        )

    @property
    def reference(self) -> float:
        """What retraining comes to."""
        return self.main.value if self.main.reference is None else self.main.reference

    def shown(self, row: MethodRow, *, is_named: bool = False) -> str:
        """Return the headline of a judged row in its unit, on the split that matters most."""
        score = self.main_of(row)
        return in_unit(score.value, score.unit, is_named=is_named)

    @property
    def _judge_label(self) -> str:
        return next(iter(self.judges))

    def __post_init__(self) -> None:
        if len(self.ids) == 0:
            raise DataError(f"forget set {self.label!r} holds no points; a report needs at least one")
        lengths = {"labels": len(self.labels), "before": self.before.shape[1], "oracle": self.oracle.shape[1]}
        lengths |= {f"{row.label}.points": len(row.points) for row in self.rows}
        lengths |= {f"{row.label}.margins": row.margins.shape[1] for row in self.rows}
        lengths |= {} if self.true_labels is None else {"true_labels": len(self.true_labels)}
        lengths |= {} if self.images is None else {"images": len(self.images)}
        for name, length in lengths.items():
            if length != len(self.ids):
                raise ShapeError(
                    f"{name} of forget set {self.label!r} covers {length} points, ids {len(self.ids)}; give "
                    "the points of the forget set"
                )
        if self.images is not None and self.images.shape[3:] not in ((), (3,)):
            raise ShapeError(
                f"images have shape {self.images.shape}; expected (n_forget, height, width) or (n_forget, "
                "height, width, 3)"
            )


@dataclass(frozen=True, kw_only=True)
class DatasetContent:
    """The data set in numbers."""

    name: str
    n_train: int
    n_validation: int
    n_classes: int
    n_mislabelled: int = 0


@dataclass(frozen=True, kw_only=True)
class PopulationContent:
    """Models of one role; retrainings is their cost in trainings on all points.

    Each keeps points_kept training points; None stands for all but those of a forget set. seconds is the
    measured time of one core, None where none was measured. note says how they differ from the models that
    unlearn: a proxy, or trained elsewhere.
    """

    role: str
    n_models: int
    points_kept: int | None
    retrainings: float
    seconds: float | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The role with its note."""
        return f"{self.role} ({self.note})" if self.note else self.role


@dataclass(frozen=True, kw_only=True)
class AttributionContent:
    """How good the datamodel is: lds (with interval) and r2 on the held-out population if there is one.

    r2 is the mean share of a margin's variance explained, r2_by_block the same by blocks of points; curve is
    lds against the number of models, forgetting what the predictions alone come to on each forget set. Of the
    margins, n_constant never vary, n_flat are predicted not to.
    """

    estimator: str
    penalty: str
    n_models: int
    r2: float | None = None
    r2_by_block: tuple[float, ...] = ()
    lds: float | None = None
    lds_interval: tuple[float, float] | None = None
    n_constant: int = 0
    n_flat: int = 0
    curve: CurveContent | None = None
    forgetting: tuple[ForgetCurveContent, ...] = ()


@dataclass(frozen=True)
class StudyChapter:
    """The chapter of a study, in HTML; links lead to its label."""

    label: str
    heading: str
    html: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Everything on the page. model, recipe and break_even are words.

    Provenance is (what, value) in the order shown.
    """

    title: str
    dataset: DatasetContent
    model: str
    recipe: str
    populations: tuple[PopulationContent, ...]
    attribution: AttributionContent | None
    sets: tuple[SetContent, ...]
    break_even: str
    config_yaml: str
    provenance: tuple[tuple[str, str], ...]
    studies: tuple[StudyChapter, ...] = ()


def best(rows: Iterable[MethodRow], content: SetContent) -> MethodRow | None:
    """Return the row whose worst split is nearest the floor, the first of equals; None if there is none."""
    return min(rows, key=lambda row: excess(row, content), default=None)


def best_of(content: SetContent, *roles: Role, below: float = math.inf) -> MethodRow | None:
    """Return the best row of some roles whose requests cost less than below, in retrainings.

    None if there is none.
    """
    return best((row for row in content.judged if row.role in roles and row.cost.fraction < below), content)


def chosen_row(content: SetContent) -> MethodRow | None:
    """Return the row whose points a report shows.

    The best that uses a datamodel, else that trains, else any, else doing nothing.
    """
    groups = ((Role.DATAMODEL,), (Role.RIVAL,), (Role.PREDICTOR, Role.BOUND), (Role.NOTHING,))
    return next((row for roles in groups if (row := best_of(content, *roles)) is not None), None)


def excess(row: MethodRow, content: SetContent) -> float:
    """Return how much worse than retraining the headline of row is on its worst split.

    Infinite if it is no number.
    """
    values = [score.excess for score in content.of(row).values()]
    return math.inf if any(map(math.isnan, values)) else max(values)


def harmed_splits(row: MethodRow, content: SetContent) -> tuple[str, ...]:
    """Return the splits, without the headline's, on which a row is clearly worse than retraining and than doing nothing."""
    if row not in content.judged:
        return ()
    nothing, yardstick = best_of(content, Role.NOTHING), content.judge.yardstick
    before = {} if nothing is None else content.of(nothing)
    others = {split: score for split, score in content.of(row).items() if split != content.main.split}
    return tuple(
        split for split, score in others.items() if yardstick.is_off(score, before=before.get(split))
    )


def are_level(first: MethodRow, second: MethodRow, content: SetContent) -> bool:
    """Return whether the headline of one row lies within the interval of the other."""
    one, other = content.main_of(first), content.main_of(second)
    return _holds(one, other.value, content) or _holds(other, one.value, content)


def _holds(score: Score, value: float, content: SetContent) -> bool:
    if score.interval is None:
        return abs(score.value - value) <= content.judge.yardstick.tolerance(score)
    return score.interval[0] <= value <= score.interval[1]


def point_label(content: SetContent, point: int) -> str:
    """Return the label of a point of the forget set, as `given` or `given → true` where it was flipped."""
    given = int(content.labels[point])
    true = given if content.true_labels is None else int(content.true_labels[point])
    return str(given) if true == given else f"{given} → {true}"


def ranked_points(content: SetContent, row: MethodRow) -> Indices:
    """Return the points of the forget set from the worst to the best by a row's values, those that are not numbers first.

    Where the first judge gives no values, the distance of the mean margin to that of oracles counts.
    """
    values, floor = row.points, content.main
    badness = {"lower": values, "higher": -values, "nearer": np.abs(values - content.reference)}[floor.better]
    if np.isnan(values).all():
        badness = np.abs(row.margins.mean(axis=0) - content.oracle.mean(axis=0))
    return np.argsort(-np.where(np.isnan(badness), np.inf, badness), kind="stable")
