"""The base of all forget sets, and the check that every list of points to forget must pass."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.core.arrays import Indices, Margins
from pipeline.core.errors import DataError
from pipeline.core.registry import Plugin
from pipeline.core.settings.type_hints import describe_value
from pipeline.data.examples import Examples


class ForgetSet(Plugin):
    """A rule that picks the training points to forget.

    `needs` names the populations whose margins the rule reads; only "full" is available so far.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the sorted, unique training ids to forget, int64.

        margins (n_models, n_points) are the margins of the needed population, or None if none is needed.
        Raises DataError if the rule cannot be met.
        """

    def _check_select(self, found: npt.NDArray[Any], examples: Examples, margins: Margins | None) -> None:
        checked_forget_set(found, examples)

    def check(self, examples: Examples) -> None:
        """Raise DataError for any problem that can be found before a model is trained.

        By default a rule that needs no margins selects its points, which are checked.
        """
        if not self.needs:
            checked_forget_set(self.select(examples, None), examples)


def checked_forget_set(indices: npt.NDArray[Any], examples: Examples) -> Indices:
    """Return indices sorted, as int64.

    Raises DataError unless they are one or more different training ids and leave at least one to retain.
    """
    if not isinstance(indices, np.ndarray) or isinstance(indices, np.ma.MaskedArray):
        raise DataError(
            f"forget set is {describe_value(indices)}; expected a NumPy array of integer training ids, (n,)"
        )
    if indices.ndim != 1 or (indices.dtype.kind not in "iu" and indices.size):
        hint = "; numpy.flatnonzero turns a mask into ids" if indices.dtype.kind == "b" else ""
        raise DataError(
            f"forget set is {indices.dtype} of shape {indices.shape}; expected one list of integer training "
            f"ids{hint}"
        )
    if not indices.size:
        raise DataError("forget set is empty; expected at least one training id")
    outside = indices[(indices < 0) | (indices >= examples.n_train)]
    if outside.size:
        raise DataError(
            f"forget set holds id {outside[0]}, which is not a training point; expected ids from 0 to "
            f"{examples.n_train - 1}"
        )
    unique, counts = np.unique(indices, return_counts=True)
    if len(unique) < len(indices):
        raise DataError(
            f"forget set holds id {unique[counts > 1][0]} {counts.max()} times; list every id once"
        )
    if len(unique) == examples.n_train:
        raise DataError(
            f"forget set holds all {examples.n_train} training points; leave at least one to retain"
        )
    return unique.astype(np.int64)


def require_points(n_points: int, available: int, what: str) -> None:
    """Raise DataError unless n_points are available; what names the available points."""
    if n_points > available:
        raise DataError(f"n_points is {n_points} but there are only {available} {what}; lower n_points")
