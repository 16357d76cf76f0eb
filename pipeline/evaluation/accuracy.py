"""Provisional."""

import numpy as np


def is_correct(logits, labels):
    return (logits.argmax(-1) == labels) & np.isfinite(logits).all(-1)


def accuracy(logits, labels):
    return is_correct(logits, labels).mean(-1)
