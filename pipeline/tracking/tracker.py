"""The interface of trackers, which show a run while it works.

The store is the truth. A tracker is a view that only the driver writes, and it may catch up later.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from pipeline.results.tracked import DatasetSummary, Point, Results

if TYPE_CHECKING:
    import torch

Status = Literal["FINISHED", "FAILED", "KILLED"]


@runtime_checkable
class Tracker(Protocol):
    """One parent run for an experiment, and a child run for each stage and each (unlearner, forget set).

    There is never a run for each model. Every method may raise TrackingError. Nothing is lost then: call
    `begin` again, at once or in the next run, and log whatever is missing.
    """

    enabled: ClassVar[bool]

    def begin(
        self,
        *,
        config_digest: str,
        name: str,
        params: Mapping[str, Any],
        config_yaml: str,
        dataset: DatasetSummary,
        tags: Mapping[str, str],
        titles: Mapping[str, str],
    ) -> str:
        """Reopen the parent run of this config, or create it under name, and return its id.

        Call it before all other methods. A call after a TrackingError continues the same attempt. params is
        the whole nested config. params, config_yaml and dataset are logged only for a new run, tags every
        time. titles maps names of children to their titles, if these differ.
        """
        ...

    def last(self, metric: str) -> float:
        """Return the last value of a metric of the parent when it was reopened, 0 if there was none.

        Sends no request.
        """
        ...

    def progress(self, child: str, points: Sequence[Point]) -> None:
        """Add points to the curves of child, in one request for every thousand values.

        Steps must not decrease when a run resumes.
        """
        ...

    def logged_version(self, child: str) -> str | None:
        """Return the version of the results that child shows, None if they were never logged completely.

        Sends no request.
        """
        ...

    def log(self, child: str, results: Results) -> None:
        """Show results in child and end it as finished; PARENT stays open until `end`."""
        ...

    def has_model(self, child: str, version: str) -> bool:
        """Return whether the model of these results was logged completely; sends no request."""
        ...

    def log_model(
        self, child: str, results: Results, *, name: str, module: "torch.nn.Module", input_example: np.ndarray
    ) -> None:
        """Log a model that loads without our code.

        The metrics of results, which were logged before, are attached to it too. input_example (n, ...) holds
        at least two inputs, because a batch of one would fix the batch size.
        """
        ...

    def address(self, child: str) -> str:
        """Return the link to child in the UI, for a note; empty if there is no such child yet."""
        ...

    def annotate(self, child: str, note: str) -> None:
        """Put a note in Markdown on top of child, which is an existing run or PARENT."""
        ...

    def fail(self, child: str, reason: str) -> None:
        """End child as failed, with the reason as a tag."""
        ...

    def end(self, status: Status) -> None:
        """End the parent run and the children that are still running."""
        ...


class NoTracker:
    """The tracker that does nothing; `enabled` tells callers to draw no figures for it."""

    enabled: ClassVar[bool] = False

    def begin(
        self,
        *,
        config_digest: str,
        name: str,
        params: Mapping[str, Any],
        config_yaml: str,
        dataset: DatasetSummary,
        tags: Mapping[str, str],
        titles: Mapping[str, str],
    ) -> str:
        """Return an empty id."""
        return ""

    def last(self, metric: str) -> float:
        """Return 0, because nothing was logged."""
        return 0.0

    def progress(self, child: str, points: Sequence[Point]) -> None:
        """Do nothing."""

    def logged_version(self, child: str) -> str | None:
        """Return None, because nothing was logged."""
        return None

    def log(self, child: str, results: Results) -> None:
        """Do nothing."""

    def has_model(self, child: str, version: str) -> bool:
        """Return False, because nothing was logged."""
        return False

    def log_model(
        self, child: str, results: Results, *, name: str, module: "torch.nn.Module", input_example: np.ndarray
    ) -> None:
        """Do nothing."""

    def address(self, child: str) -> str:
        """Return an empty address."""
        return ""

    def annotate(self, child: str, note: str) -> None:
        """Do nothing."""

    def fail(self, child: str, reason: str) -> None:
        """Do nothing."""

    def end(self, status: Status) -> None:
        """Do nothing."""
