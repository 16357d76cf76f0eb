"""Attribution in words: the predicted effect of a removal, and whether more subset models would help."""

from pipeline.results.attribution_content import CurveContent, ForecastContent
from pipeline.results.formatting import signed


def forecast_words(content: ForecastContent) -> list[str]:
    """Return the prediction for the forgotten points in words and, if known, the result of retraining."""
    split = content.splits["forget"]
    if split.median_before is None or split.median_after is None:
        return ["Nothing can be predicted of the forgotten points: their margins are not finite."]
    points, median = (
        ("the one forgotten point", "margin")
        if split.n_points == 1
        else (f"the {split.n_points:,} forgotten points", "median margin")
    )
    moves = (
        f"The {median} of {points} moves from {signed(split.median_before)} to {signed(split.median_after)} "
        "nats"
    )
    said = [
        f"{moves}; misclassified: {split.misclassified_before:,} before, {split.misclassified_after:,} after."
    ]
    return (
        said
        if split.median_actual is None
        else [*said, f"After retraining it is {signed(split.median_actual)}."]
    )


def curve_words(curve: CurveContent) -> str:
    """Return in words whether more subset models would help, by the gain of the last doubling."""
    before, last = curve.n_models[-2:]
    verdict = "more models would help" if curve.last_gain >= curve.worthwhile else "more would hardly help"
    return (
        f"The last doubling, from {before:,} to {last:,} subset models, gained {signed(curve.last_gain, 3)} "
        f"LDS: {verdict}."
    )
