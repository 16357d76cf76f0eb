"""What is shown of attribution, as plain frozen values.

Single points, what helps and hurts them, how a removal moves them, and the score's curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped


@dataclass(frozen=True, kw_only=True, eq=False)
class PointContent:
    """One point. label is `given`, or `given → true` where it is known to be flipped.

    Image (height, width) or (height, width, 3), None if it is none.
    """

    id: int
    split: str
    label: str
    is_flipped: bool = False
    image: Shaped[np.ndarray, "height width *channels"] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightContent:
    """A training point and what it adds to an output, with its standard error if that is known."""

    point: PointContent
    weight: float
    standard_error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class InfluenceContent:
    """The training points that help an output of target most and those that hurt it most, strongest first.

    output names it (`margin`, `logit of class 3`), unit its unit; r2 is the share of its variance over
    held-out models that is explained, if known.
    """

    target: PointContent
    output: str
    unit: str
    helpful: tuple[WeightContent, ...]
    harmful: tuple[WeightContent, ...]
    r2: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ChangeContent:
    """The mean margin of a point, in nats.

    Before, as predicted after a removal with its standard error (NaN if not known), and after retraining.
    """

    point: PointContent
    before: float
    after: float
    standard_error: float
    actual: float | None = None


@dataclass(frozen=True, kw_only=True)
class SplitForecast:
    """A split in numbers: margins in nats (None without points), points misclassified by the mean model, share of changes above two standard errors.

    n_within of n_points changes lie within two standard errors of what retraining came to, None where that is
    not known, as are median_standard_error and share_clear where the estimator knows no standard errors.
    """

    n_points: int
    misclassified_before: int
    misclassified_after: int
    newly_misclassified: int
    median_before: float | None
    median_after: float | None
    median_change: float | None
    largest_change: float | None
    median_standard_error: float | None
    share_clear: float | None
    median_actual: float | None = None
    n_within: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ForecastContent:
    """What a datamodel predicted of removing a forget set.

    Its points that change most, others that change most, and every split in numbers.
    """

    label: str
    forget: tuple[ChangeContent, ...]
    others: tuple[ChangeContent, ...]
    splits: Mapping[str, SplitForecast]


@dataclass(frozen=True, kw_only=True)
class CurveContent:
    """LDS (with intervals) against the number of subset models, the last two of which are half and all.

    Worthwhile is what a doubling must gain.
    """

    n_models: tuple[int, ...]
    lds: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    worthwhile: float

    @property
    def last_gain(self) -> float:
        """LDS that the last doubling gained."""
        return self.lds[-1] - self.lds[-2]


@dataclass(frozen=True, kw_only=True)
class ForgetCurveContent:
    """P95 KLoM (nats) of a set's points against the number of models that its effect is predicted from.

    Nothing: as it is, floor: of retrained models.
    """

    label: str
    n_models: tuple[int, ...]
    p95: tuple[float, ...]
    nothing: float
    floor: float
