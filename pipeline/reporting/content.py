"""What a report shows, as plain frozen values: it knows neither stores nor configs, so a report can be drawn from anything."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Shaped

from pipeline.core.arrays import Indices, Labels, Margins, PerPoint
from pipeline.core.errors import DataError, ShapeError
from pipeline.reporting.attribution_content import CurveContent, ForecastContent, ForgetCurveContent, InfluenceContent

SPLITS = ("forget", "retain", "validation")

# A method whose request costs this fraction of a retraining or more is not cheap.
CHEAP = 0.5

Numbers = Mapping[str, float]
Intervals = Mapping[str, tuple[float, float]]


class Role(StrEnum):
    """What an unlearner is to a reader; it follows from what the unlearner needs, never from its name."""

    DATAMODEL = "datamodel"
    RIVAL = "rival"
    NOTHING = "nothing"
    PREDICTOR = "predictor"
    BOUND = "bound"


def role_of(needs: frozenset[str], *, moves_weights: bool) -> Role:
    """Return what an unlearner is: one that needs true oracles is a bound, a predicted effect without moved weights a predictor."""
    if "oracle" in needs:
        return Role.BOUND
    if "effect" in needs:
        return Role.DATAMODEL if moves_weights else Role.PREDICTOR
    return Role.RIVAL if moves_weights else Role.NOTHING


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one request costs.

    samples: used in gradient evaluations by each model; fraction: the same in units of one retraining; amortised_fraction: that with this
    request's share of the datamodel added.
    """

    samples: float
    fraction: float
    amortised_fraction: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One unlearner on one forget set.

    needs and moves_weights are the unlearner's own. p95, mean and interval (of the P95) are KLoM in nats by split, accuracy is a fraction
    by split. n_nonfinite counts margins that are not finite. klom_forget (n_forget,) and margins (n_models, n_forget) are after unlearning.
    """

    label: str
    plugin: str
    needs: frozenset[str]
    moves_weights: bool
    p95: Numbers
    mean: Numbers
    interval: Intervals
    accuracy: Numbers
    cost: Cost
    n_nonfinite: int
    klom_forget: PerPoint
    margins: Margins

    @property
    def role(self) -> Role:
        """What this unlearner is."""
        return role_of(self.needs, moves_weights=self.moves_weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class SetContent:
    """One forget set and every unlearner judged on it.

    ids, labels and true_labels (n_forget,): training ids, labels as given, and as they were before noise, if known. images
    (n_forget, height, width) or (n_forget, height, width, 3), None if the inputs are no images. floor and floor_mean: KLoM of independent
    oracles by split. oracle_accuracy: fraction by split. before (n_models, n_forget) and oracle (n_oracles, n_forget): margins of
    the full models and of oracles. forecast is what the datamodel predicted, influences are examples of forgotten points and what helps and
    hurts them, both absent without a datamodel.
    Raises DataError without any point, ShapeError if the arrays disagree in their points.
    """

    label: str
    plugin: str
    ids: Indices
    labels: Labels
    true_labels: Labels | None
    images: Shaped[np.ndarray, "n_forget height width *channels"] | None
    floor: Numbers
    floor_mean: Numbers
    oracle_accuracy: Numbers
    before: Margins
    oracle: Float[np.ndarray, "n_oracles n_points"]
    rows: tuple[Row, ...]
    forecast: ForecastContent | None = None
    influences: tuple[InfluenceContent, ...] = ()

    def __post_init__(self) -> None:
        if len(self.ids) == 0:
            raise DataError(f"forget set {self.label!r} holds no points; a report needs at least one")
        lengths = {"labels": len(self.labels), "before": self.before.shape[1], "oracle": self.oracle.shape[1]}
        lengths |= {f"{row.label}.klom_forget": len(row.klom_forget) for row in self.rows}
        lengths |= {f"{row.label}.margins": row.margins.shape[1] for row in self.rows}
        lengths |= {} if self.true_labels is None else {"true_labels": len(self.true_labels)}
        lengths |= {} if self.images is None else {"images": len(self.images)}
        for name, length in lengths.items():
            if length != len(self.ids):
                raise ShapeError(f"{name} of forget set {self.label!r} covers {length} points, ids {len(self.ids)}; give the points of the forget set")
        if self.images is not None and self.images.shape[3:] not in ((), (3,)):
            raise ShapeError(f"images have shape {self.images.shape}; expected (n_forget, height, width) or (n_forget, height, width, 3)")


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
    """Models trained in one role: each keeps points_kept training points; retrainings is their cost in trainings on all points."""

    role: str
    n_models: int
    points_kept: int
    retrainings: float
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class AttributionContent:
    """How good the datamodel is: lds (with interval) and r2 on the held-out population if there is one.

    r2 is the mean share of a margin's variance explained, r2_by_block the same by blocks of points; curve is lds against the number of models,
    forgetting what the predictions alone come to on each forget set. Of the margins, n_constant never vary, n_flat are predicted not to.
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Everything on the page. model, recipe and break_even are words; provenance is (what, value) in the order shown; convex is a chapter in HTML, if any."""

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
    convex: str = ""


def best(rows: Iterable[Row], content: SetContent) -> Row | None:
    """Return the row whose worst split is nearest the floor, the first of equals; None if there is none."""
    return min(rows, key=lambda row: excess(row, content), default=None)


def best_of(content: SetContent, *roles: Role, below: float = math.inf) -> Row | None:
    """Return the best row of some roles whose requests cost less than below, in retrainings; None if there is none."""
    return best((row for row in content.rows if row.role in roles and row.cost.fraction < below), content)


def chosen_row(content: SetContent) -> Row | None:
    """Return the row whose points a report shows: the best that uses a datamodel, else that trains, else any, else doing nothing."""
    groups = ((Role.DATAMODEL,), (Role.RIVAL,), (Role.PREDICTOR, Role.BOUND), (Role.NOTHING,))
    return next((row for roles in groups if (row := best_of(content, *roles)) is not None), None)


def excess(row: Row, content: SetContent) -> float:
    """Return how far, in nats, the P95 KLoM of row lies above the floor on its worst split; infinite if it is no number."""
    values = [row.p95[split] - content.floor[split] for split in SPLITS]
    return math.inf if any(map(math.isnan, values)) else max(values)


def harmed_splits(row: Row, content: SetContent) -> tuple[str, ...]:
    """Return the splits other than the forget set on which unlearning left a row clearly worse than doing nothing does."""
    nothing = best_of(content, Role.NOTHING)
    before = {split: max(content.floor[split], 0.0 if nothing is None else nothing.p95[split]) for split in SPLITS[1:]}
    return tuple(split for split, value in before.items() if not row.p95[split] <= value + max(value, 0.5))


def are_level(first: Row, second: Row) -> bool:
    """Say whether the P95 of one row on the forget set lies within the interval of the other."""
    return any(low <= other.p95["forget"] <= high for other, (low, high) in ((first, second.interval["forget"]), (second, first.interval["forget"])))


def point_label(content: SetContent, point: int) -> str:
    """Return the label of a point of the forget set, as `given` or `given → true` where it was flipped."""
    given = int(content.labels[point])
    true = given if content.true_labels is None else int(content.true_labels[point])
    return str(given) if true == given else f"{given} → {true}"


def ranked_points(row: Row) -> Indices:
    """Return the points of the forget set by falling KLoM after row, those that are not numbers first."""
    values = np.where(np.isnan(row.klom_forget), np.inf, row.klom_forget)
    return np.argsort(-values, kind="stable")
