"""Bins of margins for each point: edges from the joint range of both ensembles, and counts.

Every margin is compared with every edge. This is exact, while a bin number computed by division can be wrong
for a margin that equals an edge. It is fast because it is vectorised over points. NaN lies in no bin.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.core.arrays import Margins, OracleMargins, PerPoint

Edges: TypeAlias = Float[np.ndarray, "n_edges n_points"]

# The largest number of rows that a byte can count.
BYTE_ROWS = 255


def joint_edges(unlearned: Margins, oracle: OracleMargins, n_intervals: int) -> Edges:
    """Return edges (n_intervals + 1, n_points) that divide the joint range of each point evenly.

    If all margins of a point are equal, the range is widened by 1. NaN is ignored.
    """
    low = np.fmin(np.fmin.reduce(unlearned, axis=0), np.fmin.reduce(oracle, axis=0))
    high = np.fmax(np.fmax.reduce(unlearned, axis=0), np.fmax.reduce(oracle, axis=0))
    low, high = np.nan_to_num(low), np.nan_to_num(high)
    return _evenly_spaced(low, np.where(high > low, high, low + 1), n_intervals)


def bin_counts(
    margins: Margins, edges: Edges, *, last_closed: bool
) -> Int[np.ndarray, "n_intervals n_points"]:
    """Return how many models lie in each bin [edge, next edge) of each point.

    A margin equal to the last edge counts only if last_closed.
    """
    at_least = np.stack([count_rows(margins >= edge) for edge in edges])
    if last_closed:
        at_least[-1] = count_rows(margins > edges[-1])
    return at_least[:-1] - at_least[1:]


def memberships(margins: Margins, edges: Edges) -> Float[np.ndarray, "n_models n_intervals n_points"]:
    """Return 1 where a margin lies in a bin, else 0, as float32 for matrix products.

    The last bin is closed.
    """
    inside = np.empty((len(margins), len(edges) - 1, margins.shape[1]), np.float32)
    above = margins >= edges[0]
    for number, edge in enumerate(edges[1:]):
        below, above = above, margins >= edge if number < len(edges) - 2 else margins > edge
        inside[:, number] = below & ~above
    return inside


def count_rows(flags: Bool[np.ndarray, "n_rows n_points"]) -> Int[np.ndarray, " n_points"]:
    """Return how many rows are true in each column.

    Rows are counted in bytes, which is twice as fast as in full integers.
    """
    parts = [
        np.add.reduce(flags[start : start + BYTE_ROWS].view(np.uint8), axis=0, dtype=np.uint8)
        for start in range(0, len(flags), BYTE_ROWS)
    ]
    return np.asarray(np.sum(parts, axis=0, dtype=np.int64))


def _evenly_spaced(low: PerPoint, high: PerPoint, n_intervals: int) -> Edges:
    """Return the edges that numpy.linspace gives when it is called for each point separately.

    If linspace is called for many points at once, one step that rounds to 0 changes the last bits of all
    points.
    """
    places = np.arange(n_intervals + 1, dtype=low.dtype)[:, None]
    step = (high - low) / n_intervals
    edges = np.where(step == 0, places / n_intervals * (high - low), places * step) + low
    # If the whole range is a few subnormal numbers, a step that was rounded up overshoots it.
    edges = np.minimum(edges, high)
    edges[-1] = high
    return edges
