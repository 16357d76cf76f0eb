"""Masks: which training points a model sees.

All masks of a population keep the same number of points, so that several of its models can train at once.
"""

import numpy as np
from jaxtyping import UInt8

from pipeline.core import seeds
from pipeline.core.arrays import Indices, Mask, Masks
from pipeline.core.errors import ConfigError, DataError, ShapeError


def count_kept(n_train: int, keep_fraction: float) -> int:
    """Return the number of n_train points that a subset keeps: the product, rounded.

    Raises ConfigError if it is none or all of them.
    """
    n_kept = round(keep_fraction * n_train)
    if not 0 < n_kept < n_train:
        raise ConfigError(
            f"keep_fraction {keep_fraction} keeps {n_kept} of {n_train} training points; choose one that "
            f"keeps 1 to {n_train - 1}"
        )
    return n_kept


def subset_mask(n_train: int, keep_fraction: float, seed: int) -> Mask:
    """Return a mask (n_train,) that keeps exactly `count_kept` points, with all such subsets equally likely.

    Raises ConfigError as `count_kept` does.
    """
    mask = np.zeros(n_train, dtype=bool)
    mask[
        seeds.generator("subset_mask", seed).choice(
            n_train, count_kept(n_train, keep_fraction), replace=False
        )
    ] = True
    return mask


def retain_mask(n_train: int, forget: Indices) -> Mask:
    """Return the mask (n_train,) of all training points except forget.

    Raises DataError on an id outside [0, n_train), or if nothing is left.
    """
    outside = forget[(forget < 0) | (forget >= n_train)]
    if len(outside):
        raise DataError(
            f"forget id {outside[0]} is not a training point; expected ids from 0 to {n_train - 1}"
        )
    mask = np.ones(n_train, dtype=bool)
    mask[forget] = False
    if not mask.any():
        raise DataError(f"all {n_train} training points are in the forget set; leave at least one out of it")
    return mask


def count_kept_outside(n_others: int, keep_fraction: float) -> int:
    """Return the number of the n_others points outside a forget set that are kept: the product, rounded.

    Raises ConfigError if it is none.
    """
    n_kept = round(keep_fraction * n_others)
    if n_kept == 0:
        raise ConfigError(
            f"keep_fraction {keep_fraction} keeps none of the {n_others} points that are not "
            "in the forget set; choose a larger one"
        )
    return n_kept


def focused_mask(
    n_train: int, keep_fraction: float, forget: Indices, seed: int, *, keeps_forget: bool
) -> Mask:
    """Return a mask (n_train,) of a random keep_fraction of the points outside forget, rounded.

    It also keeps all points of forget if keeps_forget is true, else none of them. One seed draws the same
    points outside forget in both cases. Raises DataError as `retain_mask` does, and ConfigError if no point
    outside is kept.
    """
    others = np.flatnonzero(retain_mask(n_train, forget))
    n_kept = count_kept_outside(len(others), keep_fraction)
    mask = np.zeros(n_train, dtype=bool)
    mask[seeds.generator("focused_mask", seed).choice(others, n_kept, replace=False)] = True
    mask[forget] = keeps_forget
    return mask


def pack_masks(masks: Masks) -> UInt8[np.ndarray, "n_models n_bytes"]:
    """Return masks as bits (n_models, ceil(n_train / 8)).

    Point 0 is the highest bit of byte 0; bits after the last point are 0.
    """
    return np.packbits(masks, axis=1)


def unpack(packed: UInt8[np.ndarray, "n_models n_bytes"], n_train: int) -> Masks:
    """Return the masks (n_models, n_train) that `pack_masks` packed.

    Raises ShapeError if the bytes do not fit n_train.
    """
    n_bytes = -(-n_train // 8)
    if packed.shape[1] != n_bytes:
        raise ShapeError(
            f"packed masks have {packed.shape[1]} bytes each; {n_train} training points need {n_bytes}: were "
            "they made for other data?"
        )
    return np.unpackbits(packed, axis=1, count=n_train).view(bool)
