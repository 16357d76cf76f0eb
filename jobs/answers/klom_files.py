"""`dmm klom`: KLoM of margins that exist already, from any source."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.arrays import Margins
from pipeline.core.errors import DataError, ShapeError
from pipeline.core.npy import map_npy
from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.klom import Rule, check_rule, klom, klom_summary


def klom_report(
    unlearned_path: str, oracle_path: str, *, variant: str, n_bins: int, clip: float, seed: int
) -> dict[str, Any]:
    """Return KLoM between two arrays of margins, JSON-ready.

    The report has P95 and mean with intervals, the numbers of non-finite and clipped margins, and the noise
    floor. Raises DataError, ShapeError or ConfigError if files or settings cannot be used.
    """
    rule = check_rule(variant, n_bins, clip)
    unlearned, oracle = read_margins(unlearned_path), read_margins(oracle_path)
    counts = {"variant": variant, "n_unlearned": len(unlearned), "n_oracles": len(oracle)}
    return measured(unlearned, oracle, rule, seed=seed) | counts | {"notices": _notices(unlearned, oracle)}


def measured(unlearned: Margins, oracle: Margins, rule: Rule, *, seed: int) -> dict[str, Any]:
    """Return KLoM over all points of two arrays of margins, with intervals and the noise floor, JSON-ready.

    seed is that of the bootstrap for the intervals. Raises ShapeError or DataError if the margins cannot be
    compared.
    """
    result = klom(unlearned=unlearned, oracle=oracle, **rule._asdict())
    everything = {"all": np.arange(len(result.values))}
    interval = klom_interval(
        unlearned=unlearned, oracle=oracle, groups=everything, seed=seed, **rule._asdict()
    )["all"]
    return {
        **klom_summary(result.values),
        "p95_interval": list(interval["p95"]),
        "mean_interval": list(interval["mean"]),
        "n_points": len(result.values),
        "n_nonfinite": result.n_nonfinite_total,
        "n_clipped": result.n_clipped_total,
        "floor": _floor(oracle, rule._asdict()),
    }


def _notices(unlearned: Margins, oracle: Margins) -> list[str]:
    """Return a sentence for each sign that the files hold other values than the metric expects."""
    notices = []
    if np.array_equal(unlearned, oracle, equal_nan=True):
        notices.append(
            "both files hold the same margins, so KLoM has no meaning; give the margins of "
            "unlearned models and those of oracles"
        )
    for name, margins in (("unlearned", unlearned), ("oracle", oracle)):
        if (
            np.isfinite(margins).all()
            and margins.min() >= 0
            and margins.max() <= 1
            and margins.max() > margins.min()
        ):
            notices.append(
                f"all {name} margins are between 0 and 1, like probabilities; expected margins, which "
                "are the label's logit minus the logsumexp of the other logits"
            )
    return notices


def read_margins(path: str) -> Margins:
    """Return margins (n_models, n_points) from an .npy file or from a folder.

    A folder has one .npy file of shape (n_points,) for each model. The models are in the order of the first
    number in their files' names, as in the layout of EasyDUB. A single file is memory-mapped, because it may
    be large, and nothing is unpickled. Raises DataError or ShapeError if the files hold anything else.
    """
    where = Path(path)
    if where.is_dir():
        return _read_folder(where)
    found = _open(where)
    if found.ndim != 2:
        raise ShapeError(f"{path} has shape {found.shape}; expected margins (n_models, n_points)")
    return found


def _read_folder(folder: Path) -> Margins:
    files = _files_by_model(folder)
    margins = [np.array(_open(file)) for file in files]
    for file, one in zip(files, margins, strict=True):
        if one.ndim != 1 or one.shape != margins[0].shape:
            raise ShapeError(
                f"{file} has shape {one.shape} and {files[0].name} {margins[0].shape}; expected margins "
                "(n_points,) of the same points in all"
            )
    return np.stack(margins)


def _files_by_model(folder: Path) -> list[Path]:
    """Return the .npy files of folder in the order of their models' numbers.

    Raises DataError unless there are files, exactly one for each model.
    """
    files: dict[int, Path] = {}
    for file in sorted(folder.glob("*.npy")):
        found = re.search(r"\d+", file.name)
        if found is None:
            raise DataError(
                f"the name of {file} has no model number; expected a name such as id_0_epoch_23.npy"
            )
        model = int(found[0])
        if model in files:
            raise DataError(
                f"{files[model]} and {file.name} both belong to model {model}; keep one file for each "
                "model in the folder"
            )
        files[model] = file
    if not files:
        raise DataError(f"{folder} contains no .npy files; expected one file for each model")
    return [files[model] for model in sorted(files)]


def _open(path: Path) -> np.ndarray:
    try:
        array = map_npy(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}); give an .npy file of margins"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{path} is not a plain .npy array ({error}); save margins with numpy.save"
        ) from error
    if array.dtype.kind != "f":
        raise DataError(f"{path} holds {array.dtype}; expected margins as floating-point numbers")
    return array


def _floor(oracle: Margins, rule: dict[str, Any]) -> dict[str, Any] | None:
    """Return KLoM between two disjoint halves of the oracles: the noise to expect with that many models.

    The result is None with fewer than 4 oracles.
    """
    half = len(oracle) // 2
    if half < 2:
        return None
    result = klom(unlearned=oracle[:half], oracle=oracle[half : 2 * half], **rule)
    return {
        **klom_summary(result.values),
        "n_models": half,
        "note": "two disjoint halves of the oracles; fewer models mean a higher floor",
    }
