"""KLoM as three published codes compute it, equal to the bit on finite margins.

They are the code of Georgiev et al. 2025, data-unlearning-bench, and EasyDUB (arXiv 2602.16400). All of them
drop the samples that equal the joint maximum. Edges have the precision of the margins, as in those codes
under NumPy 2.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import rel_entr

from pipeline.core.arrays import Margins, OracleMargins, PerPoint
from pipeline.evaluation.bins import Edges, bin_counts, joint_edges

# Points are rows, because the last bits of a sum depend on the order of its terms.
Shares: TypeAlias = Float[np.ndarray, "n_points n_bins"]

# The share of oracles in a bin counts as at least this much, which sets the largest possible KLoM: -ln 1e-5 =
# 11.513 nats.
PROBABILITY_FLOOR = 1e-5
CEILING = float(-np.log(PROBABILITY_FLOOR))
N_BINS = 20


def paper_klom(unlearned: Margins, oracle: OracleMargins, clip: float) -> PerPoint:
    """Return KLoM (n_points,) as the paper's code computes it.

    Its histogram has 19 bins in an array of 20. The first entry is always 0, but it is floored too. Where all
    samples of an ensemble are dropped, the paper's code returns NaN and this function the ceiling. A range of
    one value, where the paper's code returns NaN, is widened by 1.
    """
    clipped = np.clip(unlearned, -clip, clip)
    # Oracles are not clipped, so their range may overflow. The resulting NaN become the ceiling.
    with np.errstate(over="ignore", invalid="ignore"):
        edges = joint_edges(clipped, oracle, N_BINS - 1)
        share_p, share_q = (
            np.pad(_kept_shares(margins, edges), ((0, 0), (1, 0))) for margins in (clipped, oracle)
        )
        none_kept = share_q.sum(axis=1) == 0
        return np.where(none_kept, CEILING, _entropy(share_p, np.maximum(share_q, PROBABILITY_FLOOR)))


def data_unlearning_bench(unlearned: Margins, oracle: OracleMargins, clip: float) -> PerPoint:
    """Return KLoM (n_points,) as data-unlearning-bench computes it.

    There are 20 bins. The oracles' shares are floored in bins that hold unlearned models, and both sides are
    normalised. Where its code returns NaN, this function returns the ceiling.
    """
    return _entropy(*_floored_shares(unlearned, oracle, clip))


def easydub(unlearned: Margins, oracle: OracleMargins, clip: float) -> PerPoint:
    """Return KLoM (n_points,) as EasyDUB computes it.

    This is like data-unlearning-bench, but the oracles' shares are not normalised after they are floored.

    If all unlearned margins equal the joint maximum, the score is 0, as in its code.
    """
    p, q = _floored_shares(unlearned, oracle, clip)
    occupied = p > 0
    terms = p * np.log(np.divide(p, q, out=np.ones_like(p), where=occupied))
    return _sum_of_occupied(terms, occupied)


def _floored_shares(unlearned: Margins, oracle: OracleMargins, clip: float) -> tuple[Shares, Shares]:
    unlearned, oracle = np.clip(unlearned, -clip, clip), np.clip(oracle, -clip, clip)
    edges = joint_edges(unlearned, oracle, N_BINS)
    p, q = _kept_shares(unlearned, edges), _kept_shares(oracle, edges)
    return p, np.where(p > 0, np.maximum(q, PROBABILITY_FLOOR), q)


def _kept_shares(margins: Margins, edges: Edges) -> Shares:
    """Return the share of each bin among the models that lie in any bin; zeros if none does."""
    inside = np.ascontiguousarray(bin_counts(margins, edges, last_closed=False).T)
    return inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)


def _entropy(p: Shares, q: Shares) -> PerPoint:
    """Return the relative entropy of rows as scipy.stats.entropy computes it.

    Both arguments are normalised first. The ceiling replaces NaN.
    """
    with np.errstate(invalid="ignore"):
        terms = rel_entr(p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True))
    return np.nan_to_num(terms.sum(axis=1), nan=CEILING)


def _sum_of_occupied(terms: Shares, occupied: Bool[np.ndarray, "n_points n_bins"]) -> PerPoint:
    """Return the sum of the occupied bins of each row.

    The occupied bins are moved together first. Zeros between them would change how NumPy pairs the terms of
    the sum, and so the last bits.
    """
    together = np.take_along_axis(terms, np.argsort(~occupied, axis=1, kind="stable"), axis=1)
    n_occupied = occupied.sum(axis=1)
    sums = np.zeros(len(terms))
    for n in np.unique(n_occupied):
        sums[n_occupied == n] = together[n_occupied == n, :n].sum(axis=1)
    return sums
