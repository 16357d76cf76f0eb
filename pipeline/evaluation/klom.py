"""KLoM: the KL divergence between the binned margins of unlearned and of retrained models, point by point.

Our variant `closed` counts every model and never lets a non-finite margin look good. The other three follow published codes to the bit on
finite margins, quirks included (method.md §4): all of them drop the sample equal to the maximum.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.arrays import Margins, PerPoint
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.evaluation.bins import counts, joint_edges

Variant = Literal["closed", "paper", "data-unlearning-bench", "easydub"]

# The floor of an oracle's bin, and so the largest KLoM there is: -ln 1e-5 = 11.513 nats.
FLOOR = 1e-5
CEILING = float(-np.log(FLOOR))
N_BINS = 20
# Points binned at once: 100 + 100 models of float64 and their comparisons stay within a few MB of cache.
CHUNK = 4096


@dataclass(frozen=True, kw_only=True)
class Klom:
    """KLoM of each point: values (n_points,) in nats, how many margins of both ensembles were non-finite (n_nonfinite) and clipped (n_clipped)."""

    values: PerPoint
    n_nonfinite: Int[np.ndarray, " n_points"]
    n_clipped: Int[np.ndarray, " n_points"]
    variant: Variant


def klom(*, unlearned: Margins, oracle: Margins, variant: Variant = "closed", n_bins: int = N_BINS, clip: float = 100.0) -> Klom:
    """Return KL(unlearned‖oracle) of the binned margins of each point, in nats.

    unlearned (n_unlearned, n_points) and oracle (n_oracles, n_points) hold one margin for each model and point. `closed`: n_bins equal bins
    over the clipped joint range, the last one closed, oracle bins floored at 1e-5 where unlearned models are, not renormalised; a non-finite
    margin lies outside every oracle bin, so a point where all diverged scores 11.513. The published variants fix their bins; there a point
    with any non-finite margin scores 11.513, as their own codes would score it 0 or NaN. Raises ShapeError or ConfigError.
    Source: Georgiev et al. 2025, appendix E.1; EasyDUB, arXiv 2602.16400.
    """
    check_margins(unlearned, oracle)
    check_settings(variant, n_bins, clip)
    parts = [
        _chunk(unlearned[:, start : start + CHUNK], oracle[:, start : start + CHUNK], variant, n_bins, clip) for start in range(0, unlearned.shape[1], CHUNK)
    ]
    both = np.concatenate([unlearned, oracle])
    return Klom(
        values=np.concatenate(parts),
        n_nonfinite=(~np.isfinite(both)).sum(axis=0),
        n_clipped=(np.isfinite(both) & (np.abs(both) > clip)).sum(axis=0),
        variant=variant,
    )


def summary(values: PerPoint) -> dict[str, float]:
    """Return {"p95", "mean"} of KLoM over points; raises DataError if there are none."""
    if len(values) == 0:
        raise DataError("no points to summarise; a split needs at least one")
    return {"p95": float(np.percentile(values, 95)), "mean": float(values.mean())}


def check_margins(unlearned: Margins, oracle: Margins) -> None:
    """Raise ShapeError unless both are (n_models, n_points) over the same points, with at least 2 models each."""
    for name, margins in (("unlearned", unlearned), ("oracle", oracle)):
        if margins.ndim != 2 or len(margins) < 2:
            raise ShapeError(f"{name} margins have shape {margins.shape}; expected (n_models, n_points) with at least 2 models")
    if unlearned.shape[1] != oracle.shape[1]:
        raise ShapeError(f"unlearned margins are of {unlearned.shape[1]} points, oracle margins of {oracle.shape[1]}; give the same points in the same order")
    if unlearned.shape[1] == 0:
        raise ShapeError("margins are of 0 points; give at least one point")


def check_settings(variant: str, n_bins: int, clip: float) -> None:
    """Raise ConfigError on a variant that is not known, bins that a published variant fixes, or a clip that clips everything."""
    if variant not in get_args(Variant):
        raise ConfigError(f"unknown KLoM variant {variant!r}; known: {', '.join(get_args(Variant))}")
    if variant != "closed" and n_bins != N_BINS:
        raise ConfigError(f"variant {variant!r} fixes its bins, but n_bins is {n_bins}; leave n_bins out or use variant 'closed'")
    if n_bins < 2 or not clip > 0:
        raise ConfigError(f"n_bins is {n_bins} and clip {clip}; expected at least 2 bins and a positive clip")


def divergence(p: Float[np.ndarray, "..."], q: Float[np.ndarray, "..."], *, axis: int) -> Float[np.ndarray, "..."]:
    """Return Σ p ln(p/q) over the bins where p > 0, in nats; q must be positive there."""
    inside = p > 0
    ratio = np.divide(p, q, out=np.ones_like(p), where=inside)
    return np.asarray((p * np.log(ratio, out=np.zeros_like(p), where=inside)).sum(axis=axis))


def _chunk(unlearned: Margins, oracle: Margins, variant: Variant, n_bins: int, clip: float) -> PerPoint:
    # float64 before any edge is drawn: an edge rounded to float32 would put ties elsewhere than the published codes do.
    p, q = np.clip(unlearned.astype(np.float64), -clip, clip), oracle.astype(np.float64)
    q = q if variant == "paper" else np.clip(q, -clip, clip)
    if variant == "closed":
        return _closed(np.where(np.isfinite(unlearned), p, np.nan), np.where(np.isfinite(oracle), q, np.nan), n_bins)
    finite = np.isfinite(unlearned).all(axis=0) & np.isfinite(oracle).all(axis=0)
    values = np.full(p.shape[1], CEILING)
    if finite.any():
        values[finite] = _paper(p[:, finite], q[:, finite]) if variant == "paper" else _bench(p[:, finite], q[:, finite], renormalise=variant != "easydub")
    return values


def _closed(p: Margins, q: Margins, n_bins: int) -> PerPoint:
    edges = joint_edges(p, q, n_bins)
    share_p = counts(p, edges, last_closed=True) / len(p)
    share_q = counts(q, edges, last_closed=True) / len(q)
    inside = divergence(share_p, np.where(share_p > 0, np.maximum(share_q, FLOOR), 1.0), axis=0)
    lost = np.isnan(p).mean(axis=0)
    outside = divergence(lost[None], np.full((1, len(lost)), FLOOR), axis=0)
    # Floored bins add up to a little more than 1, which could make the sum negative by 1e-4: better than perfect is perfect.
    return np.maximum(inside + outside, 0.0)


def _bench(p: Margins, q: Margins, *, renormalise: bool) -> PerPoint:
    edges = joint_edges(p, q, N_BINS)
    share_p, share_q = _kept_shares(p, edges), _kept_shares(q, edges)
    share_q = np.where((share_p > 0) & (share_q < FLOOR), FLOOR, share_q)
    if renormalise:
        share_q = share_q / share_q.sum(axis=0)
    return divergence(share_p, share_q, axis=0)


def _paper(p: Margins, q: Margins) -> PerPoint:
    """19 intervals in 20 slots, the first of which lies below the range: empty, yet floored. A range of one value is widened by 1."""
    edges = joint_edges(p, q, N_BINS - 1)
    share_p = np.concatenate([np.zeros((1, p.shape[1])), _kept_shares(p, edges)])
    share_q = np.concatenate([np.zeros((1, q.shape[1])), _kept_shares(q, edges)])
    share_q = np.maximum(share_q, FLOOR)
    return divergence(share_p, share_q / share_q.sum(axis=0), axis=0)


def _kept_shares(margins: Margins, edges: Float[np.ndarray, "n_edges n_points"]) -> Float[np.ndarray, "n_intervals n_points"]:
    """Return the share of each bin among the models that fall into any: those equal to the last edge fall out. None kept leaves zeros."""
    inside = counts(margins, edges, last_closed=False)
    return inside / np.maximum(inside.sum(axis=0), 1)
