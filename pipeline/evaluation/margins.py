"""Provisional."""

import numpy as np


def margins(z, y):
    z = z.astype(np.float64)
    zy = np.take_along_axis(z, y[None, :, None], 2)[..., 0]
    w = z.copy()
    np.put_along_axis(w, np.broadcast_to(y[None, :, None], (len(z), len(y), 1)), -np.inf, 2)
    m = w.max(2)
    return zy - (m + np.log(np.exp(w - m[..., None]).sum(2)))
