"""`dmm klom`: the metric on margins that exist already, whoever made them."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.arrays import Margins
from pipeline.core.errors import DataError, ShapeError
from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.klom import check_settings, klom, summary


def klom_report(unlearned_path: str, oracle_path: str, *, variant: str, n_bins: int, clip: float, seed: int) -> dict[str, Any]:
    """Return KLoM between two arrays of margins, JSON-ready: P95 and mean with intervals, what was non-finite or clipped, and the noise floor.

    Raises DataError, ShapeError or ConfigError on files or settings that cannot be used.
    """
    check_settings(variant, n_bins, clip)
    unlearned, oracle = read_margins(unlearned_path), read_margins(oracle_path)
    settings: dict[str, Any] = {"variant": variant, "n_bins": n_bins, "clip": clip}
    result = klom(unlearned=unlearned, oracle=oracle, **settings)
    everything = {"all": np.arange(len(result.values))}
    interval = klom_interval(unlearned=unlearned, oracle=oracle, groups=everything, seed=seed, **settings)["all"]
    return {
        **summary(result.values),
        "p95_interval": list(interval["p95"]),
        "mean_interval": list(interval["mean"]),
        "variant": variant,
        "n_unlearned": len(unlearned),
        "n_oracles": len(oracle),
        "n_points": len(result.values),
        "n_nonfinite": int(result.n_nonfinite.sum()),
        "n_clipped": int(result.n_clipped.sum()),
        "floor": _floor(oracle, settings),
    }


def read_margins(path: str) -> Margins:
    """Return margins (n_models, n_points) from an .npy file, or from a folder with one .npy of (n_points,) for each model.

    Files of a folder are taken in the order of the first number in their names (the layout of EasyDUB). Nothing is unpickled. Raises
    DataError or ShapeError.
    """
    where = Path(path)
    if where.is_dir():
        files = sorted(where.glob("*.npy"), key=lambda file: (int((re.findall(r"\d+", file.name) or ["0"])[0]), file.name))
        if not files:
            raise DataError(f"{path} is a folder without .npy files; expected one for each model")
        margins = [_load(file) for file in files]
        odd = next((file for file, one in zip(files, margins, strict=True) if one.shape != margins[0].shape or one.ndim != 1), None)
        if odd is not None:
            raise ShapeError(f"{odd} does not hold margins (n_points,) like the other files of {path}; give one file for each model, all of the same points")
        return np.stack(margins)
    found = _load(where)
    if found.ndim != 2:
        raise ShapeError(f"{path} has shape {found.shape}; expected margins (n_models, n_points)")
    return found


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); give an .npy file of margins") from error
    except ValueError as error:
        raise DataError(f"{path} is no plain .npy array ({error}); save margins with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise DataError(f"{path} holds {getattr(array, 'dtype', type(array).__name__)}; expected margins as floating-point numbers")
    return array


def _floor(oracle: Margins, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return KLoM between two disjoint halves of the oracles, the noise to expect at that many models; None with fewer than 4 oracles."""
    half = len(oracle) // 2
    if half < 2:
        return None
    result = klom(unlearned=oracle[:half], oracle=oracle[half : 2 * half], **settings)
    return {**summary(result.values), "n_models": half, "note": "two disjoint halves of the oracles; fewer models mean a higher floor"}
