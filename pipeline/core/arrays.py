"""The array types of the project, which name each axis once, and checks of arrays and numbers from outside.

Only the tests check arrays against the types, so the types cost nothing in a run. Public functions call the
checks; inner loops do not.
"""

from typing import Any, TypeAlias, TypeGuard

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.core.errors import ConfigError, DataError, ShapeError

Masks: TypeAlias = Bool[np.ndarray, "n_models n_train"]
HeldoutMasks: TypeAlias = Bool[np.ndarray, "n_heldout n_train"]
Mask: TypeAlias = Bool[np.ndarray, " n_train"]
Indices: TypeAlias = Int[np.ndarray, " _"]
Labels: TypeAlias = Int[np.ndarray, " n_points"]
Logits: TypeAlias = Float[np.ndarray, "n_models n_points n_classes"]
Margins: TypeAlias = Float[np.ndarray, "n_models n_points"]
OracleMargins: TypeAlias = Float[np.ndarray, "n_oracles n_points"]
Effects: TypeAlias = Float[np.ndarray, "n_points n_classes"]
Outputs: TypeAlias = Float[np.ndarray, "n_models n_outputs"]
HeldoutOutputs: TypeAlias = Float[np.ndarray, "n_heldout n_outputs"]
PerTrain: TypeAlias = Float[np.ndarray, " n_train"]
PerPoint: TypeAlias = Float[np.ndarray, " n_points"]
PerOutput: TypeAlias = Float[np.ndarray, " n_outputs"]

_WORDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "floating-point numbers"}
# The largest accepted number of bootstrap resamples. 10,000 settle an interval to three digits, so a larger
# number is probably a typing error.
MOST_RESAMPLES = 100_000


def require_array(name: str, value: Any, *, kinds: str, ndim: int | None = None) -> None:
    """Raise DataError or ShapeError unless value is a plain NumPy array of one of kinds, with ndim axes.

    kinds are letters of numpy.dtype.kind: b for booleans, i and u for integers, f for floats. Nothing is
    converted silently, because a conversion may lose information, such as the mask of a masked array.
    """
    expected = (
        f"{name}: expected a NumPy array of {' or '.join(dict.fromkeys(_WORDS[kind] for kind in kinds))}"
    )
    if type(value) not in (np.ndarray, np.memmap):
        remedy = (
            "decide about masked values first"
            if isinstance(value, np.ma.MaskedArray)
            else "convert it with numpy.asarray"
        )
        raise DataError(f"{expected}, got {type(value).__name__}; {remedy}")
    if value.dtype.kind not in kinds:
        remedy = {"f": "; convert it with astype(float)", "b": "; write masks == 1"}.get(kinds, "")
        raise DataError(
            f"{expected}, got {value.dtype} of shape "
            f"{value.shape}{remedy if value.dtype.kind in 'biuf' else ''}"
        )
    if ndim is not None and value.ndim != ndim:
        raise ShapeError(f"{name} has shape {value.shape}; expected {ndim} dimensions")


def require_floats(name: str, value: object, ndim: int | None = None) -> None:
    """Raise DataError or ShapeError unless value is a plain array of floating-point numbers."""
    require_array(name, value, kinds="f", ndim=ndim)


def require_masks(name: str, value: Any, n_train: int | None = None) -> None:
    """Raise DataError or ShapeError unless value is a plain array of booleans (n_models, n_train).

    If n_train is None, any number of training points is accepted.
    """
    require_array(name, value, kinds="b", ndim=2)
    if n_train is not None and value.shape[1] != n_train:
        found = f"{name} are over {value.shape[1]} training points, the datamodel over {n_train}"
        raise ShapeError(f"{found}; give masks of that length")


def require_count(name: str, value: object, fewest: int, most: int) -> None:
    """Raise ConfigError unless value is a whole number from fewest to most."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not fewest <= value <= most:
        raise ConfigError(f"{name} is {value!r}; expected a whole number from {fewest} to {most:,}")


def require_number(name: str, value: object, least: float, most: float) -> None:
    """Raise ConfigError unless value is a number from least to most."""
    if not _is_number(value) or not least <= value <= most:
        raise ConfigError(f"{name} is {value!r}; expected a number from {least:g} to {most:g}")


def require_share(name: str, value: object) -> None:
    """Raise ConfigError unless value is a number between 0 and 1, both excluded."""
    if not _is_number(value) or not 0 < value < 1:
        raise ConfigError(f"{name} is {value!r}; expected a number between 0 and 1")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
