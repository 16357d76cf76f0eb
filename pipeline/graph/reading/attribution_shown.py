"""Turns the tables of attribution into the content that reports and pictures show."""

from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.attribution.influential_points import Influence
from pipeline.core.arrays import Indices
from pipeline.graph.node import Work
from pipeline.graph.nodes.evaluate import split_ids
from pipeline.graph.nodes.influences import PointInfluences, read_examples
from pipeline.graph.nodes.lds_curve import WORTHWHILE
from pipeline.graph.reading.forecast import Forecast, summarise
from pipeline.graph.reading.points_shown import Pictures
from pipeline.results.attribution_content import (
    ChangeContent,
    CurveContent,
    ForecastContent,
    ForgetCurveContent,
    InfluenceContent,
    WeightContent,
)

# The number of points of a forget set, and of other points, that a forecast shows one by one.
MOST_CHANGED = 16
MARGIN, NATS = "margin", "nats"


def influence_content(
    one: PointInfluences, pictures: Pictures, *, output: str = MARGIN, unit: str = NATS
) -> InfluenceContent:
    """Return the content that shows the influences of training points on an output of a point."""
    return InfluenceContent(
        target=pictures.point(one.point),
        output=output,
        unit=unit,
        helpful=_weights(one.found.helpful, pictures),
        harmful=_weights(one.found.harmful, pictures),
        r2=one.r2,
    )


def example_contents(work: Work, pictures: Pictures, number: int) -> tuple[InfluenceContent, ...]:
    """Return the content of the examples of a forget set, from the parent called `influences`.

    number is the place of the set in the order of the config.
    """
    return tuple(influence_content(one, pictures) for one in read_examples(work.read("influences"), number))


def forecast_content(
    found: Forecast, label: str, ids: Indices, pictures: Pictures, *, top: int = MOST_CHANGED
) -> ForecastContent:
    """Return the content that shows a forecast for a forget set.

    It shows up to top points of the set and up to top other points.
    """
    examples = pictures.examples
    splits = split_ids(ids, examples.n_train, examples.n_points)
    others = np.concatenate([splits["retain"], splits["validation"]])
    return ForecastContent(
        label=label,
        forget=_changes(found, found.most_changed(ids, top), pictures),
        others=_changes(found, found.most_changed(others, top), pictures),
        splits={name: summarise(found, split) for name, split in splits.items()},
    )


def curve_content(columns: dict[str, np.ndarray]) -> CurveContent:
    """Return the curve of LDS from the columns of its table.

    Small shares of the models may have the same number of models; then only one of them is shown.
    """
    first = np.unique(columns["n_models"], return_index=True)[1]
    if len(first) > 1:
        columns = {name: values[first] for name, values in columns.items()}
    intervals = zip(columns["low"].tolist(), columns["high"].tolist(), strict=True)
    return CurveContent(
        n_models=tuple(int(n_models) for n_models in columns["n_models"]),
        lds=tuple(columns["lds"].tolist()),
        intervals=tuple(intervals),
        worthwhile=WORTHWHILE,
    )


def forget_curve_contents(
    columns: Mapping[str, np.ndarray], floors: Mapping[str, float]
) -> tuple[ForgetCurveContent, ...]:
    """Return the curve of each forget set from the columns of their table.

    floors holds the floor of each forget set, in nats, by label and in the order of the config.
    """
    n_models = tuple(int(count) for count in columns["n_models"])
    return tuple(
        ForgetCurveContent(
            label=label,
            n_models=n_models,
            p95=tuple(columns[f"set_{i}"].tolist()),
            nothing=float(columns[f"nothing_{i}"][-1]),
            floor=floor,
        )
        for i, (label, floor) in enumerate(floors.items())
    )


def _weights(found: Iterable[Influence], pictures: Pictures) -> tuple[WeightContent, ...]:
    return tuple(
        WeightContent(point=pictures.point(one.id), weight=one.weight, standard_error=one.standard_error)
        for one in found
    )


def _changes(found: Forecast, ids: Indices, pictures: Pictures) -> tuple[ChangeContent, ...]:
    return tuple(
        ChangeContent(
            point=pictures.point(index),
            before=float(found.before[index]),
            after=float(found.after[index]),
            standard_error=float(found.standard_error[index]),
            actual=None if found.actual is None else float(found.actual[index]),
        )
        for index in ids.tolist()
    )
