"""What a run shows while it works, as an interface.

The store is the truth, a tracker a view that only the driver writes and that may catch up later.
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

    Never one for each model.

    Every method may raise TrackingError. Nothing is lost then: `begin` again, at once or in the next run, and
    log what is not there.
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

        Comes before everything else.

        params is the whole config, nested as it is; parameters, config_yaml and dataset are logged for a new
        run only, tags every time. titles are what children are called, where that is not their name. Called
        again after a TrackingError it goes on with the same attempt.
        """
        ...

    def last(self, metric: str) -> float:
        """Return the last value of a metric of the parent when it was reopened, 0 if there was none.

        Costs nothing.
        """
        ...

    def progress(self, child: str, points: Sequence[Point]) -> None:
        """Add points to the curves of child, in one request for every thousand values.

        Steps must not fall back on resume.
        """
        ...

    def logged_version(self, child: str) -> str | None:
        """Return the version of the results that child shows, None if it was never logged to its end.

        Costs nothing.
        """
        ...

    def log(self, child: str, results: Results) -> None:
        """Show results in child and end it as finished; in PARENT, which `end` ends, they are only shown."""
        ...

    def has_model(self, child: str, version: str) -> bool:
        """Return whether the model of these results was logged to its end; costs nothing."""
        ...

    def log_model(
        self, child: str, results: Results, *, name: str, module: "torch.nn.Module", input_example: np.ndarray
    ) -> None:
        """Log a model, loadable without our code, to which the metrics of results, logged before, belong too.

        input_example (n, ...) holds at least two inputs, as a batch of one would fix the batch size.
        """
        ...

    def address(self, child: str) -> str:
        """Return where the UI shows child, as a link for a note; empty if there is no such child yet."""
        ...

    def annotate(self, child: str, note: str) -> None:
        """Put a note, in Markdown, on top of child, which is a run that exists or PARENT."""
        ...

    def fail(self, child: str, reason: str) -> None:
        """End child as failed, with the reason as a tag."""
        ...

    def end(self, status: Status) -> None:
        """End the parent run, and with it the children that are still running."""
        ...


class NoTracker:
    """Tracking turned off. `enabled` tells callers not to draw figures that nobody will see."""

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
        """Return 0: there was none."""
        return 0.0

    def progress(self, child: str, points: Sequence[Point]) -> None:
        """Do nothing."""

    def logged_version(self, child: str) -> str | None:
        """Return None: nothing was ever logged."""
        return None

    def log(self, child: str, results: Results) -> None:
        """Do nothing."""

    def has_model(self, child: str, version: str) -> bool:
        """Return False: nothing was ever logged."""
        return False

    def log_model(
        self, child: str, results: Results, *, name: str, module: "torch.nn.Module", input_example: np.ndarray
    ) -> None:
        """Do nothing."""

    def address(self, child: str) -> str:
        """Return nothing: nobody shows it."""
        return ""

    def annotate(self, child: str, note: str) -> None:
        """Do nothing."""

    def fail(self, child: str, reason: str) -> None:
        """Do nothing."""

    def end(self, status: Status) -> None:
        """Do nothing."""
