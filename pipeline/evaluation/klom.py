"""Provisional."""

from types import SimpleNamespace

import numpy as np


def klom(*, unlearned, oracle, variant="closed", n_bins=20, clip=100.0):
    p, q, nb = unlearned, oracle, n_bins
    lo = np.minimum(p.min(0), q.min(0))
    hi = np.maximum(p.max(0), q.max(0))
    hi = np.where(hi == lo, lo + 1, hi)
    e = np.linspace(lo, hi, nb + 1)

    def c(v):
        g = np.stack([(v >= e[i]).sum(0) for i in range(nb)] + [np.zeros(v.shape[1])])
        return (g[:-1] - g[1:]) / len(v)

    P, Q = c(p), c(q)
    Q = np.where((P > 0) & (Q < 1e-5), 1e-5, Q)
    with np.errstate(all="ignore"):
        return SimpleNamespace(
            values=np.maximum(0, np.where(P > 0, P * np.log(P / Q), 0).sum(0)), n_nonfinite=np.zeros(p.shape[1], int), n_clipped=np.zeros(p.shape[1], int)
        )


def summary(v):
    return {"p95": float(np.percentile(v, 95)), "mean": float(v.mean())}
