"""Results of data attribution as plain frozen values.

They describe single points, the training points that help and hurt them, the predicted effect of a removal,
and LDS against the number of subset models.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped


@dataclass(frozen=True, kw_only=True, eq=False)
class PointContent:
    """One point of the data set.

    split is `training` or `validation`. label is `given`, or `given → true` if the label is known to be
    flipped. image is (height, width) or (height, width, 3), None if the input is no image.
    """

    id: int
    split: str
    label: str
    is_flipped: bool = False
    image: Shaped[np.ndarray, "height width *channels"] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightContent:
    """A training point and its weight: what this point alone adds to an output.

    standard_error is that of the weight, None if it is unknown. Both are in the unit of the output.
    """

    point: PointContent
    weight: float
    standard_error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class InfluenceContent:
    """The training points that most help and most hurt an output of the point target, strongest first.

    output names the output, such as `margin` or `logit of class 3`, and unit its unit. r2 is the share of the
    output's variance over held-out models that the datamodel explains, None if it is unknown.
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

    standard_error is that of the predicted change, NaN if the estimator gives none. actual is the mean margin
    of retrained models, None if it is unknown.
    """

    point: PointContent
    before: float
    after: float
    standard_error: float
    actual: float | None = None


@dataclass(frozen=True, kw_only=True)
class SplitForecast:
    """Counts and medians that describe the predicted changes of the points of one split.

    n_points counts the points whose predicted change is finite; all other numbers are about these points.
    Medians, changes and standard errors are of margins, in nats, and None without points. A point counts as
    misclassified if the mean logits of the models classify it wrongly. share_clear is the share of changes
    larger than two standard errors. median_actual is the median after retraining. n_within counts the points
    whose margin after retraining lies within two standard errors of the prediction. A number is None if it
    needs standard errors or retrained models that are not there.
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

    label is that of the forget set. forget holds the forgotten points that change most, and others the other
    points that change most. splits holds the numbers of `forget`, `retain` and `validation`.
    """

    label: str
    forget: tuple[ChangeContent, ...]
    others: tuple[ChangeContent, ...]
    splits: Mapping[str, SplitForecast]


@dataclass(frozen=True, kw_only=True)
class CurveContent:
    """LDS of datamodels that are learnt from more and more subset models.

    n_models, lds and intervals (low, high) have one item for each datamodel. Each number of models is about
    twice the one before, and the last one counts all models. worthwhile is the LDS that another doubling must
    gain to be worth its training.
    """

    n_models: tuple[int, ...]
    lds: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    worthwhile: float

    @property
    def last_gain(self) -> float:
        """The LDS that the last doubling of the number of models gained."""
        return self.lds[-1] - self.lds[-2]


@dataclass(frozen=True, kw_only=True)
class ForgetCurveContent:
    """P95 KLoM of predicted outputs on a forget set, in nats, against the number of subset models.

    p95 has one value for each number of models from which the datamodel is learnt. It judges the predictions
    themselves, without any fine-tuning. nothing is the value of doing nothing, and floor the value of
    retrained models.
    """

    label: str
    n_models: tuple[int, ...]
    p95: tuple[float, ...]
    nothing: float
    floor: float
