"""Attribution in words: what removing a forget set will change and how sure that is, and whether more subset models would help."""

from collections.abc import Sequence

from pipeline.reporting.attribution_content import CurveContent, ForecastContent, SplitForecast
from pipeline.reporting.formatting import percent, signed

NAMED = {"forget": "forgotten", "retain": "retained", "validation": "validation"}
OTHERS = {"retain": "Of the retained points", "validation": "Of the validation points"}


def forecast_words(content: ForecastContent) -> list[str]:
    """Return sentences on a forecast: the forgotten points first, then the others, then how sure it is and, if known, how it came out."""
    forget = content.splits["forget"]
    others = [_elsewhere(said, content.splits[name]) for name, said in OTHERS.items() if content.splits[name].n_points]
    return [_forgotten(forget), *others, *_sure(content), *_outcome(content)]


def forecast_measures(content: ForecastContent) -> list[tuple[str, str]]:
    """Return what is shown large of a forecast for the forgotten points: values and what they are."""
    split = content.splits["forget"]
    if split.median_before is None or split.median_after is None:
        return []
    among = "" if split.n_points == 1 else ", median"
    measures = [(f"{signed(split.median_before)} → {signed(split.median_after)}", f"margin of the forgotten points{among}: predicted")]
    measures += [] if split.median_actual is None else [(signed(split.median_actual), f"retrained{among}")]
    measures += [(f"± {split.median_standard_error:.2f}", f"standard error{among}")]
    measures += [(f"{split.misclassified_before:,} → {split.misclassified_after:,}", f"of {split.n_points:,} misclassified: predicted")]
    return measures + ([] if split.n_within is None else [(f"{split.n_within:,} of {split.n_points:,}", "came out within two standard errors")])


def curve_words(curve: CurveContent) -> str:
    """Return whether more subset models would help, by what the last doubling gained."""
    before, last = curve.n_models[-2:]
    verdict = "more would hardly help" if curve.last_gain < curve.worthwhile else "more models would help"
    return f"The last doubling, from {before:,} to {last:,} subset models, gained {signed(curve.last_gain, 3)} LDS: {verdict}."


def r2_words(mean: float, by_block: Sequence[float]) -> str:
    """Return R² on held-out models, with its range over blocks of points where there are several."""
    return f"{mean:.2f}" if len(by_block) < 2 else f"{mean:.2f} ({min(by_block):.2f} to {max(by_block):.2f} from block to block)"


def constant_words(n_constant: int, n_flat: int) -> str:
    """Return which margins LDS leaves out and which it counts as 0, to follow it; an empty string where there are none."""
    counts = {"left out, since never varying": n_constant, "counted as 0, since predicted not to vary": n_flat}
    return "".join(f"; {what}: {count:,} margin{'s' if count > 1 else ''}" for what, count in counts.items() if count)


def _forgotten(split: SplitForecast) -> str:
    if split.median_before is None or split.median_after is None or split.largest_change is None:
        return "Nothing can be said of the forgotten points: their margins are not finite."
    points = "The margin of the one forgotten point" if split.n_points == 1 else f"The margins of the {split.n_points:,} forgotten points"
    moves = f"{'moves' if split.n_points == 1 else 'move'} from {_median(split.n_points)}{signed(split.median_before)} to {signed(split.median_after)} nats"
    largest = "" if split.n_points == 1 else f", at most by {signed(split.largest_change)}"
    return f"{points} {moves}{largest}. {_wrong(split)}"


def _wrong(split: SplitForecast) -> str:
    """Return how many points of a split are misclassified, now and then."""
    if split.misclassified_before == split.misclassified_after == split.n_points:
        return "All of them are misclassified already, and stay so." if split.n_points > 1 else "It is misclassified already, and stays so."
    if split.misclassified_before == split.misclassified_after == 0:
        return "None of them is misclassified, now or then." if split.n_points > 1 else "It is classified correctly, now and then."
    return f"Misclassified: {split.misclassified_before:,} of them now, {split.misclassified_after:,} then."


def _elsewhere(said: str, split: SplitForecast) -> str:
    turned = f"{split.newly_misclassified or 'none'} become{'s' if split.newly_misclassified < 2 else ''} misclassified"
    back = split.misclassified_before + split.newly_misclassified - split.misclassified_after
    mended = f" and {back:,} no longer {'is' if back == 1 else 'are'}" if back > 0 else ""
    median, most = signed(split.median_change or 0.0), signed(split.largest_change or 0.0)
    return f"{said}, {turned}{mended}; their margins change by {median} in the median, at most by {most}."


def _sure(content: ForecastContent) -> list[str]:
    shares = [
        (f"{percent(split.share_clear)} of the changes on {name} points", split.median_standard_error)
        for name, split in ((NAMED[key], split) for key, split in content.splits.items())
        if split.share_clear is not None
    ]
    if not shares:
        return []
    said = ", ".join(f"{words} (standard error {error:.2f})" for words, error in shares)
    return [f"How sure: two standard errors are exceeded by {said}."]


def _outcome(content: ForecastContent) -> list[str]:
    forget = content.splits["forget"]
    if forget.n_within is None or forget.median_actual is None or forget.median_after is None:
        return []
    counts = [(NAMED[name], split) for name, split in content.splits.items() if split.n_within is not None and split.n_points]
    said = ", ".join(f"{split.n_within:,} of {split.n_points:,} {name}" for name, split in counts)
    return [
        f"How it came out: models that were really retrained have {_median(forget.n_points)}{signed(forget.median_actual)} on the forgotten points, "
        f"against {signed(forget.median_after)} predicted; {said} points lie within two standard errors of the prediction."
    ]


def _median(n_points: int) -> str:
    return "" if n_points == 1 else "a median of "
