"""Content of a report as plain frozen values, independent of stores and configs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices, Margins, PerPoint
from pipeline.core.errors import DataError, ShapeError
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores
from pipeline.results.attribution_content import (
    CurveContent,
    ForecastContent,
    ForgetCurveContent,
    InfluenceContent,
    PointContent,
)
from pipeline.results.formatting import in_unit

# A method is cheap if a request costs less than this fraction of one retraining.
CHEAP = 0.5


class Role(StrEnum):
    """The role of an unlearner in a report; it follows from the unlearner's needs, never from its name.

    datamodel: moves weights with a predicted effect. rival: moves weights without one. nothing: moves no
    weights. predictor: predicts outputs only. bound: needs true oracles, so it is no real alternative.
    """

    DATAMODEL = "datamodel"
    RIVAL = "rival"
    NOTHING = "nothing"
    PREDICTOR = "predictor"
    BOUND = "bound"


def role_of(needs: frozenset[str], *, moves_weights: bool) -> Role:
    """Return the role of an unlearner.

    An unlearner that needs true oracles is a bound. An unlearner that needs a predicted effect and moves no
    weights is a predictor.
    """
    if "oracle" in needs:
        return Role.BOUND
    if "effect" in needs:
        return Role.DATAMODEL if moves_weights else Role.PREDICTOR
    return Role.RIVAL if moves_weights else Role.NOTHING


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one request.

    samples counts the samples that each model uses in gradient evaluations. fraction is the same in units of
    one retraining. amortised_fraction adds what must be trained before: the request's share of the datamodel
    and its own focused models, or one retraining for a method that needs oracles.
    """

    samples: float
    fraction: float
    amortised_fraction: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SnapshotContent:
    """Unlearned models at an intermediate step: their cost up to it, and the scores of each judge by label.

    after counts the epochs or steps up to here; unit says which of the two.
    """

    after: int
    unit: str
    cost: Cost
    scores: Mapping[str, Scores]


@dataclass(frozen=True, kw_only=True, eq=False)
class MethodRow:
    """One unlearner on one forget set.

    plugin is the name of the unlearner's plug-in; needs and moves_weights are its attributes of these names.
    scores holds the scores of each judge by its label; the first judge gives the headline. points (n_forget,)
    are the first judge's values of the forgotten points, NaN where it gives none. margins (n_models,
    n_forget) are those after unlearning. snapshots are the intermediate models in order, if the unlearner
    takes them; the last snapshot is the final models.
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
        """The number of model outputs that are not finite, from the first judge that counts them."""
        return next(
            (scores.counts[NONFINITE] for scores in self.scores.values() if NONFINITE in scores.counts), 0
        )

    @property
    def role(self) -> Role:
        """The role of this unlearner."""
        return role_of(self.needs, moves_weights=self.moves_weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class SetContent:
    """One forget set and every unlearner judged on it.

    plugin is the name of the plug-in that chose the points. judges are by label, the headline judge first.
    floor holds the scores that each judge gives a second group of oracles. forgotten holds the n_forget
    points of the set. before (n_models, n_forget) and oracle (n_oracles, n_forget) are margins of the full
    models and of oracles. points_title is what readers see as the name of the values in MethodRow.points,
    empty if there are no values. forecast is the prediction of the datamodel. influences are examples of
    forgotten points, with the training points that help and hurt them. Without a datamodel, forecast is None
    and influences is empty. Raises DataError if there is no point, and ShapeError if the arrays have
    different numbers of points.
    """

    label: str
    plugin: str
    forgotten: tuple[PointContent, ...]
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
        """The first judge; words and figures show its headline."""
        return self.judges[self._judge_label]

    @property
    def headline(self) -> dict[str, Score]:
        """The floor of the headline: its score for a second group of oracles, by split.

        The split that matters most comes first.
        """
        scores = self.floor[self._judge_label]
        return scores.of(scores.headline)

    @property
    def main(self) -> Score:
        """The floor on the split that matters most."""
        return next(iter(self.headline.values()))

    @property
    def title(self) -> str:
        """What pages call the statistic of the headline."""
        return self.judge.title(self.main.statistic)

    @property
    def judged(self) -> tuple[MethodRow, ...]:
        """The rows that have the first judge's headline score, on every split on which the floor has one."""
        return tuple(
            row
            for row in self.rows
            if self._judge_label in row.scores and self.headline.keys() <= self.of(row).keys()
        )

    def of(self, row: MethodRow) -> dict[str, Score]:
        """Return the headline scores of a judged row by split."""
        return row.scores[self._judge_label].of(self.main.statistic)

    def main_of(self, row: MethodRow) -> Score:
        """Return the headline score of a judged row on the split that matters most."""
        return self.of(row)[self.main.split]

    def curve_of(self, row: MethodRow) -> list[tuple[float, Score]]:
        """Return the cost, as a fraction of one retraining, and the headline of each snapshot of a row.

        The headline is the score on the split that matters most. Snapshots without it are left out.
        """
        judged = [one for one in row.snapshots if self._judge_label in one.scores]
        scores = [one.scores[self._judge_label].get(self.main.statistic, self.main.split) for one in judged]
        pairs = zip(judged, scores, strict=True)
        return [(one.cost.fraction, score) for one, score in pairs if score is not None]

    @property
    def place(self) -> str:
        """What pages call the points of the split that matters most, such as `forgotten points`."""
        return {"forget": "forgotten points", "retain": "retained points"}.get(
            self.main.split, f"{self.main.split} points"
        )

    @property
    def reference(self) -> float:
        """The headline score of retraining."""
        return self.main.of_retraining

    def shown(self, row: MethodRow, *, is_named: bool = False) -> str:
        """Return the headline of a judged row as text in its unit, on the split that matters most."""
        score = self.main_of(row)
        return in_unit(score.value, score.unit, is_named=is_named)

    @property
    def _judge_label(self) -> str:
        return next(iter(self.judges))

    def __post_init__(self) -> None:
        if not self.forgotten:
            raise DataError(f"forget set {self.label!r} has no points; a report needs at least one")
        lengths = {"before": self.before.shape[1], "oracle": self.oracle.shape[1]}
        lengths |= {f"{row.label}.points": len(row.points) for row in self.rows}
        lengths |= {f"{row.label}.margins": row.margins.shape[1] for row in self.rows}
        for name, length in lengths.items():
            if length != len(self.forgotten):
                raise ShapeError(
                    f"{name} of forget set {self.label!r} covers {length} points, but the set has "
                    f"{len(self.forgotten)}; give the points of the forget set"
                )


@dataclass(frozen=True, kw_only=True)
class DatasetContent:
    """The data set in numbers; n_mislabelled counts the points whose label was made wrong on purpose."""

    name: str
    n_train: int
    n_validation: int
    n_classes: int
    n_mislabelled: int = 0


@dataclass(frozen=True, kw_only=True)
class PopulationContent:
    """All models of one role, such as `subset` or `oracle`, and the cost of their training.

    Each model keeps points_kept training points; None means all but those of a forget set. retrainings is the
    cost of all models together, in trainings on all points. seconds is their measured computing time in core
    seconds, None if it was not measured. note says how the models differ from those that unlearn: they are
    proxies, or were trained elsewhere.
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
    """The quality of the datamodel that is learnt from n_models subset models.

    estimator and penalty are texts. lds (with its interval) and r2 are measured on held-out models, None if
    there are none. r2 is the explained share of a margin's variance, as a mean over all points; r2_by_block
    is the same for each block of points. curve is LDS against the number of models. forgetting holds, for
    each forget set, the KLoM of the predicted outputs. n_constant counts the margins that never vary, and
    n_flat those that are predicted not to vary.
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
    """The chapter of a study, in HTML; label is also the target of links to it."""

    label: str
    heading: str
    html: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """The content of the report page.

    model, recipe and break_even are texts. break_even says when the datamodel pays, and is empty if no method
    uses one. provenance holds (name, value) of the data and of software versions, in the order shown.
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


@dataclass(frozen=True, kw_only=True)
class DrawnReport:
    """A drawn report, as the store keeps it.

    html is the page. figures holds PNG images by file name without suffix. summary is one sentence over all
    forget sets, and headlines holds the verdict on each set, in words, by the label of the set.
    """

    html: str
    figures: Mapping[str, bytes]
    summary: str
    headlines: Mapping[str, str]


class ReportRenderer(Protocol):
    """Draws a report. A worker calls it, so it must be a function of a module that workers can import."""

    def __call__(self, report: Report, /) -> DrawnReport:
        """Return the drawn report."""
        ...


def best(rows: Iterable[MethodRow], content: SetContent) -> MethodRow | None:
    """Return the row with the lowest `excess`, the first of equals; None if there are no rows."""
    return min(rows, key=lambda row: excess(row, content), default=None)


def best_of(content: SetContent, *roles: Role, below: float = math.inf) -> MethodRow | None:
    """Return the best row of some roles; None if there is none.

    Only rows whose requests cost less than below, in retrainings, count.
    """
    return best((row for row in content.judged if row.role in roles and row.cost.fraction < below), content)


def chosen_row(content: SetContent) -> MethodRow | None:
    """Return the row that a report follows when it shows single points; None if no row was judged.

    It is the best row that uses a datamodel, else the best that moves weights without one, else the best
    predictor or bound, else doing nothing.
    """
    groups = ((Role.DATAMODEL,), (Role.RIVAL,), (Role.PREDICTOR, Role.BOUND), (Role.NOTHING,))
    return next((row for roles in groups if (row := best_of(content, *roles)) is not None), None)


def excess(row: MethodRow, content: SetContent) -> float:
    """Return how much worse than retraining the headline of row is on its worst split.

    Infinite if a score is not a number.
    """
    values = [score.excess for score in content.of(row).values()]
    return math.inf if any(map(math.isnan, values)) else max(values)


def harmed_splits(row: MethodRow, content: SetContent) -> tuple[str, ...]:
    """Return the splits on which a row is clearly worse than retraining and than doing nothing.

    The split of the headline is left out.
    """
    if row not in content.judged:
        return ()
    nothing, yardstick = best_of(content, Role.NOTHING), content.judge.yardstick
    before = {} if nothing is None else content.of(nothing)
    others = {split: score for split, score in content.of(row).items() if split != content.main.split}
    return tuple(
        split for split, score in others.items() if yardstick.is_off(score, before=before.get(split))
    )


def are_level(first: MethodRow, second: MethodRow, content: SetContent) -> bool:
    """Return whether the headline of either row lies within the interval of the other."""
    one, other = content.main_of(first), content.main_of(second)
    return _holds(one, other.value, content) or _holds(other, one.value, content)


def _holds(score: Score, value: float, content: SetContent) -> bool:
    if score.interval is None:
        return abs(score.value - value) <= content.judge.yardstick.tolerance(score)
    return score.interval[0] <= value <= score.interval[1]


def ranked_points(content: SetContent, row: MethodRow) -> Indices:
    """Return the positions in content.forgotten, ordered from the worst to the best point by a row's values.

    Points whose value is NaN come first. If the first judge gives no values at all, points are ordered by the
    distance between the row's mean margin and the mean margin of oracles.
    """
    values, floor = row.points, content.main
    badness = {"lower": values, "higher": -values, "nearer": np.abs(values - content.reference)}[floor.better]
    if np.isnan(values).all():
        badness = np.abs(row.margins.mean(axis=0) - content.oracle.mean(axis=0))
    return np.argsort(-np.where(np.isnan(badness), np.inf, badness), kind="stable")
