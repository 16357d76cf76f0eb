"""Invented attribution with realistic numbers: points, influences, forecasts and a curve."""

from typing import Any

import numpy as np

from pipeline.results.attribution_content import (
    ChangeContent,
    CurveContent,
    ForecastContent,
    ForgetCurveContent,
    InfluenceContent,
    PointContent,
    SplitForecast,
    WeightContent,
)


def point_of(index: int, *, has_image: bool = True, **fields: Any) -> PointContent:
    image = np.random.default_rng(index).uniform(size=(4, 4)) if has_image else None
    return PointContent(
        **{"id": index, "split": "training", "label": str(index % 10), "image": image} | fields
    )


def influence_of(
    n_helpful: int = 3, n_harmful: int = 2, *, has_image: bool = True, **fields: Any
) -> InfluenceContent:
    def weights(count: int, sign: float) -> tuple[WeightContent, ...]:
        made = [
            (point_of(40 + rank, has_image=has_image), sign * (0.9 / (rank + 1)), None if rank == 1 else 0.12)
            for rank in range(count)
        ]
        return tuple(
            WeightContent(point=point, weight=weight, standard_error=error) for point, weight, error in made
        )

    made: dict[str, Any] = {
        "target": point_of(40, has_image=has_image),
        "output": "margin",
        "unit": "nats",
        "r2": 0.84,
    }
    return InfluenceContent(
        **made | {"helpful": weights(n_helpful, 1.0), "harmful": weights(n_harmful, -1.0)} | fields
    )


def split_of(n_points: int, **fields: Any) -> SplitForecast:
    made: dict[str, Any] = {
        "n_points": n_points,
        "misclassified_before": 0,
        "misclassified_after": 2,
        "newly_misclassified": 2,
    }
    made |= {
        "median_before": 7.9,
        "median_after": 2.5,
        "median_change": -5.4,
        "largest_change": -9.0,
        "median_standard_error": 0.31,
        "share_clear": 0.92,
    }
    return SplitForecast(**made | fields)


def forecast_of(
    n_points: int = 15, *, has_image: bool = True, actual: float | None = 2.1, **splits: SplitForecast
) -> ForecastContent:
    known = {} if actual is None else {"median_actual": actual, "n_within": n_points - 1}
    changes = [
        ChangeContent(
            point=point_of(index, has_image=has_image),
            before=7.0,
            after=2.0 + index / 9,
            standard_error=0.4,
            actual=actual,
        )
        for index in range(n_points)
    ]
    of_splits = {
        "forget": split_of(n_points, **known),
        "retain": split_of(1385, **known),
        "validation": split_of(397, **known),
    }
    return ForecastContent(
        label="coherent", forget=tuple(changes), others=tuple(changes[:4]), splits=of_splits | splits
    )


def curve_of(*lds: float) -> CurveContent:
    n_models = tuple(100 * 2**step for step in range(len(lds)))
    return CurveContent(
        n_models=n_models,
        lds=lds,
        intervals=tuple((value - 0.02, value + 0.02) for value in lds),
        worthwhile=0.01,
    )


def forget_curve_of(label: str = "coherent", *p95: float) -> ForgetCurveContent:
    values = p95 or (6.0, 3.0, 2.0, 1.5)
    return ForgetCurveContent(
        label=label,
        n_models=tuple(100 * 2**step for step in range(len(values))),
        p95=values,
        nothing=9.0,
        floor=0.6,
    )
