"""The forecast of a datamodel: what will change when a forget set is removed, before anything is unlearned.

It gives each margin before and after the removal, and the standard error of the change.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pipeline.core.arrays import Effects, Indices, Labels, Logits, PerPoint
from pipeline.evaluation.accuracy import is_correct
from pipeline.evaluation.margins import margin_slopes, margins
from pipeline.graph.logits_layout import Layout, block_margins, read_blocks
from pipeline.results.attribution_content import SplitForecast
from pipeline.store.store import Store, TableRef

# A change of more than this number of standard errors is called clear.
CLEAR = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """The forecast for all points; arrays are (n_points,).

    before and after are mean margins over the full models, in nats, without and with the predicted effect.

    standard_error is the standard error of the change, NaN if the estimator gives none. correct_before and
    correct_after say whether the mean logits of the models classify a point correctly. actual is the mean
    margin of oracles; it is None if it is not asked for.
    """

    before: PerPoint
    after: PerPoint
    standard_error: PerPoint
    correct_before: Bool[np.ndarray, " n_points"]
    correct_after: Bool[np.ndarray, " n_points"]
    actual: PerPoint | None = None

    @property
    def change(self) -> PerPoint:
        """The predicted change of the mean margin."""
        return self.after - self.before

    def most_changed(self, ids: Indices, top: int) -> Indices:
        """Return up to top of ids, those that change most first; ids whose change is NaN come last."""
        return ids[np.argsort(-np.nan_to_num(np.abs(self.change[ids]), nan=-1.0), kind="stable")[:top]]


def forecast(
    store: Store,
    *,
    full: TableRef,
    effect: TableRef,
    layout: Layout,
    labels: Labels,
    oracle: TableRef | None = None,
) -> Forecast:
    """Return the forecast of an effect table for the full models, one block in memory at a time.

    If oracle is given, the forecast includes the margins of the oracles.
    """
    predicted = store.read(effect)
    parts = []
    for inside, logits in read_blocks(store, full, layout, len(labels)):
        parts.append(
            _block(
                logits.astype(np.float64),
                predicted["mean"][inside],
                predicted["standard_error"][inside],
                labels[inside],
            )
        )
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    actual = None
    if oracle is not None:
        blocks = range(layout.n_blocks(len(labels)))
        actual = np.concatenate(
            [_mean(block_margins(store, oracle, layout, block, labels)) for block in blocks]
        )
    return Forecast(**columns, actual=actual)


def margin_standard_error(logits: Effects, standard_error: Effects, labels: Labels) -> PerPoint:
    """Return the standard error of each point's margin from those of its logits, to first order.

    logits and standard_error are (n_points, n_classes). Errors of different logits are taken to be
    independent.
    """
    return np.sqrt(np.square(margin_slopes(logits, labels) * standard_error).sum(axis=1))


def summarise(found: Forecast, ids: Indices) -> SplitForecast:
    """Return counts and medians that describe the forecast of some points.

    Points whose predicted change is not finite are left out; if no points remain, all medians are None.
    Numbers that need standard errors are None if these are not known. n_within counts the points whose actual
    margin is at most CLEAR standard errors from the forecast.
    """
    ids = ids[np.isfinite(found.change[ids])]
    counts: dict[str, Any] = {
        "n_points": len(ids),
        "misclassified_before": int((~found.correct_before[ids]).sum()),
        "misclassified_after": int((~found.correct_after[ids]).sum()),
        "newly_misclassified": int((found.correct_before[ids] & ~found.correct_after[ids]).sum()),
    }
    if not len(ids):
        return SplitForecast(**counts)
    change, error = found.change[ids], found.standard_error[ids]
    numbers: dict[str, Any] = {
        "median_before": float(np.median(found.before[ids])),
        "median_after": float(np.median(found.after[ids])),
        "median_change": float(np.median(change)),
        "largest_change": float(change[np.abs(change).argmax()]),
    }
    is_known = bool(np.isfinite(error).all())
    if is_known:
        numbers["median_standard_error"] = float(np.median(error))
        numbers["share_clear"] = float((np.abs(change) > CLEAR * error).mean())
    if found.actual is not None:
        numbers["median_actual"] = float(np.median(found.actual[ids]))
        off = np.abs(found.actual[ids] - found.after[ids])
        counts |= {"n_within": int((off <= CLEAR * error).sum())} if is_known else {}
    return SplitForecast(**counts, **numbers)


def _block(logits: Logits, effect: Effects, standard_error: Effects, labels: Labels) -> dict[str, np.ndarray]:
    after = logits + effect
    mean = logits.mean(axis=0)
    return {
        "before": _mean(margins(logits, labels)),
        "after": _mean(margins(after, labels)),
        "standard_error": margin_standard_error(np.nan_to_num(mean + effect), standard_error, labels),
        "correct_before": is_correct(mean, labels),
        "correct_after": is_correct(mean + effect, labels),
    }


def _mean(values: Float[np.ndarray, "n_models n_points"]) -> PerPoint:
    """Return the mean of each point over the models that have a finite value there; NaN if none has."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
