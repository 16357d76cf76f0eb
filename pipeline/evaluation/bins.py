"""Binning margins point by point: edges from the joint range of both ensembles, counts by comparison with every edge.

Comparing with edges is exact where arithmetic binning misplaces ties, and vectorised over points it is still fast.
"""

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.arrays import Margins, PerPoint


def joint_edges(unlearned: Margins, oracle: Margins, n_intervals: int) -> Float[np.ndarray, "n_edges n_points"]:
    """Return edges (n_intervals + 1, n_points) over the joint range of each point, an empty range widened by 1; non-finite margins are left out."""
    low = np.minimum(_extreme(unlearned, np.fmin, np.inf), _extreme(oracle, np.fmin, np.inf))
    high = np.maximum(_extreme(unlearned, np.fmax, -np.inf), _extreme(oracle, np.fmax, -np.inf))
    empty = ~np.isfinite(low)
    low, high = np.where(empty, 0.0, low), np.where(empty, 1.0, high)
    # A zero step anywhere would send linspace down another path for all points and change their last bits.
    return np.linspace(low, np.where(high == low, low + 1, high), n_intervals + 1)


def counts(margins: Margins, edges: Float[np.ndarray, "n_edges n_points"], *, last_closed: bool) -> Int[np.ndarray, "n_intervals n_points"]:
    """Return how many models lie in each bin [edge, next edge) of each point; NaN lies in none, the last edge only if the bin is closed."""
    at_least = np.stack([(margins >= edge).sum(axis=0) for edge in edges])
    if last_closed:
        at_least[-1] = (margins > edges[-1]).sum(axis=0)
    return at_least[:-1] - at_least[1:]


def memberships(margins: Margins, edges: Float[np.ndarray, "n_edges n_points"], *, last_closed: bool) -> Float[np.ndarray, "n_models n_points n_intervals"]:
    """Return 1 where a model's margin lies in a bin, else 0, as float32 for matrix products."""
    inside = np.empty((*margins.shape, len(edges) - 1), np.float32)
    below = margins >= edges[0]
    for number in range(len(edges) - 1):
        is_last = last_closed and number == len(edges) - 2
        above = margins > edges[-1] if is_last else margins >= edges[number + 1]
        inside[..., number] = below & ~above
        below = above
    return inside


def _extreme(margins: Margins, pick: np.ufunc, start: float) -> PerPoint:
    return np.asarray(pick.reduce(np.where(np.isfinite(margins), margins, np.nan), axis=0, initial=start))
