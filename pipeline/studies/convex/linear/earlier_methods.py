"""Runs earlier unlearning methods, which are removal plug-ins, on the draws of the linear study.

The results are their cost and R at the end, the share of the squared distance to the oracle that is left.
"""

from typing import Any

import numpy as np

from pipeline.studies.convex.linear.ridge_ensemble import RidgeEnsemble
from pipeline.studies.convex.problems.losses import RidgeProblem
from pipeline.studies.convex.removals import REMOVALS
from pipeline.studies.convex.removals.base import Removal, RemovalRequest

# Number of draws over which results are averaged. There are few, because each draw is solved separately here.
N_EARLIER_DRAWS = 20
# Methods that add noise.
NOISY = ("descent_to_delete",)
# (ε, δ) of methods that make a promise.
PROMISE = {"epsilon": 1.0, "delta": 1e-3}


def earlier_methods(problems: RidgeEnsemble, n_features: int, n_steps: int) -> dict[str, dict[str, Any]]:
    """Return the outcome of each earlier method.

    An outcome holds the mean and standard deviation of R at the end, the steps, and the gradients of single
    points that the method computed. Iterative methods take n_steps steps. Noise is added in all n_features
    dimensions, also outside the span of the points; methods without noise stay in this span. On ridge a
    Newton step is exact. Projected GD projects onto a ball that certainly holds the minimiser. The projection
    may change no iterate; it is tested because methods with noise calibrated to such a ball need it.
    """
    draws = range(min(N_EARLIER_DRAWS, problems.n_draws))
    requests = {
        wide: [_request(problems, n_features if wide else problems.features.shape[2], draw) for draw in draws]
        for wide in (False, True)
    }
    return {name: _outcome(removal, requests[name in NOISY]) for name, removal in _methods(n_steps).items()}


def _methods(n_steps: int) -> dict[str, Removal]:
    named: dict[str, dict[str, Any]] = {name: {} for name in ("newton", "influence", "projective_residual")}
    named |= {"projected_gd": {"n_steps": n_steps}, "descent_to_delete": {"n_steps": n_steps, **PROMISE}}
    return {name: REMOVALS.build({"name": name, **settings}) for name, settings in named.items()}


def _outcome(removal: Removal, requests: list[RemovalRequest]) -> dict[str, Any]:
    ways = [removal.remove(request) for request in requests]
    shares = []
    for way, request in zip(ways, requests, strict=True):
        left = way.squared_distances(request.wanted_oracle())
        shares.append(left[-1] / left[0])
    return {
        "share": float(np.mean(shares)),
        "sd": float(np.std(shares, ddof=1)),
        "steps": int(ways[0].steps[-1]),
        "evaluations": int(ways[0].evaluations[-1]),
    }


def _request(problems: RidgeEnsemble, n_features: int, draw: int) -> RemovalRequest:
    beside = n_features - problems.features.shape[2]
    problem = RidgeProblem(
        features=np.pad(problems.features[draw], ((0, 0), (0, beside))),
        penalty=problems.penalty,
        targets=problems.targets[draw][:, None],
    )
    forget = np.flatnonzero(problems.forget[draw])
    oracle = problem.restricted(np.flatnonzero(~problems.forget[draw])).minimise()
    return RemovalRequest(problem=problem, start=problem.minimise(), forget=forget, seed=draw, oracle=oracle)
