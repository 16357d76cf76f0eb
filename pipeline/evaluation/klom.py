"""KLoM: the KL divergence between the binned margins of unlearned and of retrained models, for each point.

The variant `closed` is ours: it counts every model, and a non-finite margin never makes a score look good.
The other variants reproduce published codes to the bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.arrays import Margins, OracleMargins, PerPoint, require_count, require_number
from pipeline.core.errors import ConfigError, DataError
from pipeline.core.settings.validation_errors import did_you_mean
from pipeline.evaluation import published_klom
from pipeline.evaluation.bins import bin_counts, count_rows, joint_edges
from pipeline.evaluation.margins import check_worlds
from pipeline.evaluation.published_klom import CEILING, N_BINS, PROBABILITY_FLOOR

Variant = Literal["closed", "paper", "data-unlearning-bench", "easydub"]
VARIANTS: Mapping[str, Variant] = {name: name for name in get_args(Variant)}
PUBLISHED: Mapping[str, Callable[[Margins, OracleMargins, float], PerPoint]] = {
    "paper": published_klom.paper_klom,
    "data-unlearning-bench": published_klom.data_unlearning_bench,
    "easydub": published_klom.easydub,
}

# With a hundred oracles nearly all of so many bins are empty; more bins cost time and add no information.
MOST_BINS = 10_000
# Twice the largest value is still finite in float32.
LEAST_CLIP, LARGEST_CLIP = 1e-30, 1e30
# Number of points binned at once: 100 + 100 models in float64 take 3 MB and stay in cache.
CHUNK = 2048


@dataclass(frozen=True, kw_only=True)
class Klom:
    """KLoM of each point, with counts of non-finite and clipped margins.

    values (n_points,) are in nats. n_nonfinite and n_clipped count margins of both ensembles.
    """

    values: PerPoint
    n_nonfinite: Int[np.ndarray, " n_points"]
    n_clipped: Int[np.ndarray, " n_points"]
    variant: Variant

    @property
    def n_nonfinite_total(self) -> int:
        """The number of non-finite margins over all points."""
        return int(self.n_nonfinite.sum())

    @property
    def n_clipped_total(self) -> int:
        """The number of clipped margins over all points."""
        return int(self.n_clipped.sum())


class Rule(NamedTuple):
    """The settings of the binning. Only check_rule creates them, so their values are in range."""

    variant: Variant
    n_bins: int
    clip: float


def klom(
    *,
    unlearned: Float[np.ndarray, "..."],
    oracle: Float[np.ndarray, "..."],
    variant: Variant = "closed",
    n_bins: int = N_BINS,
    clip: float = 100.0,
) -> Klom:
    """Return KL(unlearned‖oracle) of the binned margins of each point, in nats.

    unlearned (n_unlearned, n_points) and oracle (n_oracles, n_points) hold one margin for each model and
    point.

    `closed` clips margins to ±clip and divides their joint range into n_bins equal bins. The last bin is
    closed. Oracle bins are floored at 1e-5 and not renormalised. A non-finite margin lies outside every bin,
    so a point where all models of either ensemble diverged scores 11.513. If some oracles diverged, the
    oracles score above 0 against themselves; no point scores better than that.

    The published variants have fixed bins. They score a point with any non-finite margin 11.513, where the
    published codes give 0 or NaN. In every variant one far outlier stretches the bins of its point.

    Raises ShapeError, DataError or ConfigError. Source: Georgiev et al. 2025, appendix E.1; EasyDUB, arXiv
    2602.16400.
    """
    check_margins(unlearned, oracle)
    rule = check_rule(variant, n_bins, clip)
    starts = range(0, unlearned.shape[1], CHUNK)
    parts = [
        _chunk(unlearned[:, start : start + CHUNK], oracle[:, start : start + CHUNK], rule)
        for start in starts
    ]
    values, n_nonfinite, n_clipped = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Klom(values=values, n_nonfinite=n_nonfinite, n_clipped=n_clipped, variant=variant)


def klom_summary(values: PerPoint) -> dict[str, float]:
    """Return {"p95", "mean"} of KLoM over points; raises DataError if there are none."""
    if len(values) == 0:
        raise DataError("no points to summarise; a split needs at least one")
    return {"p95": float(np.percentile(values, 95)), "mean": float(values.mean())}


def check_margins(unlearned: np.ndarray, oracle: np.ndarray) -> None:
    """Raise ShapeError or DataError unless the margins of both ensembles can be compared.

    Both must be floats (n_models, n_points) over the same points, with at least 2 models each.
    """
    check_worlds({"unlearned": unlearned, "oracle": oracle}, fewest=2)


def check_rule(variant: str, n_bins: int, clip: float) -> Rule:
    """Return the settings as one rule.

    Raises ConfigError for an unknown variant, for bins that a published variant fixes, and for values out of
    range.
    """
    if not isinstance(variant, str) or variant not in VARIANTS:
        raise ConfigError(
            f"unknown KLoM variant {variant!r}; known: "
            f"{', '.join(VARIANTS)}.{did_you_mean(str(variant), VARIANTS)}"
        )
    if variant in PUBLISHED and n_bins != N_BINS:
        raise ConfigError(
            f"variant {variant!r} fixes its bins, but n_bins is {n_bins}; leave it out or use variant "
            "'closed'"
        )
    require_count("n_bins", n_bins, 2, MOST_BINS)
    require_number("clip", clip, LEAST_CLIP, LARGEST_CLIP)
    return Rule(VARIANTS[variant], n_bins, clip)


def divergence(
    p: Float[np.ndarray, "..."], q: Float[np.ndarray, "..."], *, axis: int
) -> Float[np.ndarray, "..."]:
    """Return Σ p ln(p/q) along axis, in nats.

    Bins with p = 0 add 0. Bins of q are floored at PROBABILITY_FLOOR.
    """
    tiny = np.finfo(p.dtype).tiny
    return np.asarray((p * np.log(np.maximum(p, tiny) / np.maximum(q, PROBABILITY_FLOOR))).sum(axis=axis))


def prepared(margins: Margins, rule: Rule) -> Margins:
    """Return margins as `closed` bins them: in float64, clipped, and NaN where not finite."""
    wide = margins.astype(np.float64)
    return np.where(np.isfinite(wide), np.clip(wide, -rule.clip, rule.clip), np.nan)


def _chunk(
    unlearned: Margins, oracle: OracleMargins, rule: Rule
) -> tuple[PerPoint, Int[np.ndarray, " n_points"], Int[np.ndarray, " n_points"]]:
    n_nonfinite = count_rows(~np.isfinite(unlearned)) + count_rows(~np.isfinite(oracle))
    n_clipped = _count_clipped(unlearned, rule.clip)
    if rule.variant != "paper":
        n_clipped += _count_clipped(oracle, rule.clip)
    if rule.variant == "closed":
        values = _closed(prepared(unlearned, rule), prepared(oracle, rule), rule)
    else:
        values = _as_published(unlearned, oracle, n_nonfinite > 0, rule)
    return values, n_nonfinite, n_clipped


def _closed(p: Margins, q: OracleMargins, rule: Rule) -> PerPoint:
    edges = joint_edges(p, q, rule.n_bins)
    inside = divergence(
        bin_counts(p, edges, last_closed=True) / len(p),
        bin_counts(q, edges, last_closed=True) / len(q),
        axis=0,
    )
    outside, oracle_outside = _outside(p), _outside(q)
    # If some oracles diverged, the oracles score above 0 against themselves, and unlearned models must not
    # score better than that. This bound is at least 0. Without it the result could be -1e-4, because the
    # floored bins add up to slightly more than 1.
    return np.maximum(inside + outside, oracle_outside)


def _outside(margins: Margins) -> PerPoint:
    """Return the part of KLoM that comes from models whose margin is NaN, outside every bin."""
    lost = count_rows(np.isnan(margins)) / len(margins)
    return divergence(lost[None], np.zeros_like(lost[None]), axis=0)


def _as_published(unlearned: Margins, oracle: OracleMargins, broken: np.ndarray, rule: Rule) -> PerPoint:
    dtype = np.result_type(unlearned, oracle, np.float32)
    p, q = (np.where(broken, 0, margins).astype(dtype) for margins in (unlearned, oracle))
    return np.where(broken, CEILING, PUBLISHED[rule.variant](p, q, rule.clip))


def _count_clipped(margins: Margins, clip: float) -> Int[np.ndarray, " n_points"]:
    return count_rows(np.isfinite(margins) & (np.abs(margins.astype(np.float64)) > clip))
