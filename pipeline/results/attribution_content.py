"""Results of attribution as plain frozen values.

They cover single points, the training points that help and hurt them, the predicted effect of a removal, and
the curve of LDS.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped


@dataclass(frozen=True, kw_only=True, eq=False)
class PointContent:
    """One point of the data set.

    label is `given`, or `given → true` if the label is known to be flipped. image is (height, width) or
    (height, width, 3), None if the input is no image.
    """

    id: int
    split: str
    label: str
    is_flipped: bool = False
    image: Shaped[np.ndarray, "height width *channels"] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightContent:
    """A training point and the weight it adds to an output, with its standard error if known."""

    point: PointContent
    weight: float
    standard_error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class InfluenceContent:
    """The training points that help an output of target most and those that hurt it most, strongest first.

    output names the output (`margin`, `logit of class 3`), unit is its unit. r2 is the explained share of its
    variance over held-out models, if known.
    """

    target: PointContent
    output: str
    unit: str
    helpful: tuple[WeightContent, ...]
    harmful: tuple[WeightContent, ...]
    r2: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ChangeContent:
    """The mean margin of a point in nats: before a removal, predicted after it, and after retraining.

    standard_error is that of the prediction, NaN if not known. actual is the mean margin after retraining, if
    known.
    """

    point: PointContent
    before: float
    after: float
    standard_error: float
    actual: float | None = None


@dataclass(frozen=True, kw_only=True)
class SplitForecast:
    """The predicted change of one split in numbers.

    Margins are in nats, None without points. The misclassified counts are those of the mean model.
    share_clear is the share of changes above two standard errors. n_within of n_points changes lie within two
    standard errors of the result of retraining; it is None if that result is not known. median_standard_error
    and share_clear are None if the estimator gives no standard errors.
    """

    n_points: int
    misclassified_before: int
    misclassified_after: int
    newly_misclassified: int
    median_before: float | None = None
    median_after: float | None = None
    median_change: float | None = None
    largest_change: float | None = None
    median_standard_error: float | None = None
    share_clear: float | None = None
    median_actual: float | None = None
    n_within: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ForecastContent:
    """The datamodel's prediction of removing a forget set.

    forget holds the forgotten points that change most, others the other points that change most, and splits
    every split in numbers.
    """

    label: str
    forget: tuple[ChangeContent, ...]
    others: tuple[ChangeContent, ...]
    splits: Mapping[str, SplitForecast]


@dataclass(frozen=True, kw_only=True)
class CurveContent:
    """LDS with intervals against the number of subset models; the last two numbers are half and all of them.

    worthwhile is the LDS that a doubling must gain to be worth it.
    """

    n_models: tuple[int, ...]
    lds: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    worthwhile: float

    @property
    def last_gain(self) -> float:
        """The LDS that the last doubling gained."""
        return self.lds[-1] - self.lds[-2]


@dataclass(frozen=True, kw_only=True)
class ForgetCurveContent:
    """P95 KLoM (nats) of a set's points against the number of models that predict its effect.

    nothing is the value of doing nothing, floor that of retrained models.
    """

    label: str
    n_models: tuple[int, ...]
    p95: tuple[float, ...]
    nothing: float
    floor: float
