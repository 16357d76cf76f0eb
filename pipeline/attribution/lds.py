"""Provisional."""

from types import SimpleNamespace

import numpy as np
from scipy.stats import rankdata


def lds(*, predicted, actual):
    a, b = rankdata(predicted, axis=0), rankdata(actual, axis=0)
    a = a - a.mean(0)
    b = b - b.mean(0)
    v = (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return SimpleNamespace(mean=float(v.mean()), interval=(0.0, 1.0), n_constant=0)
