"""`dmm klom --layout easydub`: KLoM of a folder in EasyDUB's layout.

It reads only the margins and forget ids of the folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jobs.answers.klom_files import measured
from pipeline.core.arrays import Indices, Margins
from pipeline.core.errors import ConfigError, DataError
from pipeline.evaluation.klom import check_rule
from pipeline.sources.easydub_layout import FORGET, RETAIN, VALIDATION, EasyDubLayout, open_array
from pipeline.sources.numbered_files import same_numbers

# EasyDUB's name of each of our splits.
PARTS = {"forget": FORGET, "retain": RETAIN, "validation": VALIDATION}


def klom_of_layout(
    layout: EasyDubLayout,
    forget_set: int,
    *,
    n_models: int | None,
    variant: str,
    n_bins: int,
    clip: float,
    seed: int,
) -> dict[str, Any]:
    """Return KLoM between the pretrained models and the oracles of a forget set, by split, JSON-ready.

    Of each kind, the n_models models with the lowest numbers are compared; None takes as many as both kinds
    have. The split `retain` has the training points without those of the forget set. Raises DataError,
    ShapeError or ConfigError if files or settings cannot be used.
    """
    rule = check_rule(variant, n_bins, clip)
    pretrained = _numbers(layout, None)
    ids = layout.forget_ids(forget_set)
    oracles = _numbers(layout, forget_set)
    fewest = min(len(pretrained), len(oracles))
    wanted = fewest if n_models is None else n_models
    if not 2 <= wanted <= fewest:
        there = f"there are margins of {len(pretrained)} pretrained models and {len(oracles)} oracles"
        raise ConfigError(f"--n-models {wanted}: {there}; expected 2 to {fewest}")
    answers = {}
    for split, part in PARTS.items():
        unlearned = _pretrained(layout, ids, part, forget_set, pretrained[:wanted])
        oracle = _stack(layout.files(layout.outputs("margins", forget_set, part)), oracles[:wanted])
        if unlearned.shape[1] != oracle.shape[1]:
            raise DataError(_unequal(layout, split, unlearned, oracle, ids))
        answers[split] = measured(unlearned, oracle, rule, seed=seed)
    about = {
        "layout": "easydub",
        "root": str(layout.root),
        "dataset": layout.dataset,
        "model": layout.model,
        "epoch": layout.epoch,
    }
    counts = {"n_unlearned": wanted, "n_oracles": wanted, "n_forget": len(ids)}
    return (
        about
        | {"forget_set": forget_set, "variant": variant}
        | counts
        | {"splits": answers, "notices": _notices(layout, ids, forget_set, pretrained)}
    )


def _numbers(layout: EasyDubLayout, forget_set: int | None) -> list[int]:
    """Return the numbers of the models, all of which must have margins on every part of the data.

    They are pretrained models if forget_set is None, else oracles of that forget set. Raises DataError if
    there are none, or if a model lacks a part.
    """
    patterns = {part: layout.outputs("margins", forget_set, part) for part in layout.parts(forget_set)}
    files = {f"margins of {part}": layout.files(pattern) for part, pattern in patterns.items()}
    if any(files.values()):
        return same_numbers(files, "complete the folder")
    whose = "pretrained models" if forget_set is None else f"oracles of forget set {forget_set}"
    missing = f"no margins of {whose} ({patterns[RETAIN]})"
    remedy = "" if layout.has_its_names() else "; set --root, --dataset, --model and --epoch"
    raise DataError(f"{layout.root} holds {missing}: it {layout.lacking()}{remedy}")


def _pretrained(
    layout: EasyDubLayout, ids: Indices, part: str, forget_set: int, numbers: Sequence[int]
) -> Margins:
    """Return the margins (n_models, n_points) of pretrained models on a part of the data.

    The points are in the same order as in the oracles' files. ids are those of the forget set. By them the
    points are chosen from the margins on all training points, unless the forget set has files of its own.
    """
    if part == VALIDATION:
        return _stack(layout.files(layout.outputs("margins", None, VALIDATION)), numbers)
    own = layout.files(layout.outputs("margins", None, f"forget_{forget_set}"))
    if part == FORGET and set(numbers) <= own.keys():
        return _stack(own, numbers)
    everything = _stack(layout.files(layout.outputs("margins", None, RETAIN)), numbers)
    n_train = everything.shape[1]
    if ids.max() >= n_train:
        path = layout.forget_path(forget_set)
        raise DataError(
            f"{path} lists id {ids.max()}, but the pretrained models have margins of {n_train} training "
            "points"
        )
    return everything[:, ids] if part == FORGET else everything[:, np.setdiff1d(np.arange(n_train), ids)]


def _stack(files: Mapping[int, Path], numbers: Sequence[int]) -> Margins:
    rows = [np.asarray(open_array(files[number], "f", 1)) for number in numbers]
    for number, row in zip(numbers, rows, strict=True):
        if row.shape != rows[0].shape:
            raise DataError(
                f"{files[number]} has {len(row)} rows but {files[numbers[0]]} has {len(rows[0])}; "
                "expected the same points in all files"
            )
    return np.stack(rows)


def _unequal(layout: EasyDubLayout, split: str, unlearned: Margins, oracle: Margins, ids: Indices) -> str:
    found = (
        f"{layout.root}: {split} has {unlearned.shape[1]} points of pretrained models and {oracle.shape[1]} "
        "of oracles"
    )
    if split == "retain":
        return (
            f"{found}; expected pretrained margins of `retain` for every training point, and oracle "
            f"margins for all but the {len(ids)} forgotten points"
        )
    return f"{found}; expected the same points in both"


def _notices(layout: EasyDubLayout, ids: Indices, forget_set: int, numbers: Sequence[int]) -> list[str]:
    """Return a sentence if the two files of pretrained margins on the forget set disagree.

    One file may hold the forget set alone; the other holds all training points. They disagree, for example,
    if the order of points is different. Only the first model is checked.
    """
    own = layout.files(layout.outputs("margins", None, f"forget_{forget_set}"))
    if numbers[0] not in own:
        return []
    rows = open_array(own[numbers[0]], "f", 1)
    whole = open_array(layout.files(layout.outputs("margins", None, RETAIN))[numbers[0]], "f", 1)[ids]
    if rows.shape == whole.shape and np.allclose(rows, whole, rtol=0.01, atol=0.01, equal_nan=True):
        return []
    return [
        f"{own[numbers[0]]} does not hold the margins of `retain` at the ids of the forget set "
        "in the file's order; check that the margins and the forget set belong together"
    ]
