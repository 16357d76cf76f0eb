"""The interface of trackers, which show a run while it works.

The store is the truth. A tracker is a view that only the driver writes. It may lag behind the store.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from pipeline.results.tracked import Point, Results, RunDescription

if TYPE_CHECKING:
    import torch

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker:
    """One parent run for an experiment, and a child run for each stage and each (unlearner, forget set).

    There is never a run for each model. Every method may raise TrackingError. Nothing is lost then: call
    `begin` again, at once or in the next run, and log whatever is missing.

    This class itself is the tracker that shows nothing. A tracker that shows something overrides all methods.
    """

    # Whether the tracker shows anything. If not, callers prepare nothing for it.
    enabled: ClassVar[bool] = False

    def begin(self, about: RunDescription) -> str:
        """Reopen the parent run of this config, or create it, and return its id; empty without a run.

        Call it before all other methods. A call after a TrackingError continues the same attempt.
        """
        return ""

    def last(self, metric: str) -> float:
        """Return the value that a metric of the parent run had before this attempt, 0 if it had none.

        Sends no request.
        """
        return 0.0

    def progress(self, child: str, points: Sequence[Point]) -> None:
        """Add points to the curves of child, in one request for every thousand values.

        Steps must not decrease when a run resumes.
        """

    def logged_version(self, child: str) -> str | None:
        """Return the version of the results that child shows, None if it shows no complete results.

        Sends no request.
        """
        return None

    def log(self, child: str, results: Results) -> None:
        """Show results in child and end that run as finished; PARENT stays open until `end`."""

    def has_model(self, child: str, version: str) -> bool:
        """Return whether the model of these results was logged completely; sends no request."""
        return False

    def log_model(
        self, child: str, results: Results, *, name: str, module: "torch.nn.Module", input_example: np.ndarray
    ) -> None:
        """Log module as a model that loads without this package.

        results are those that child shows already; their metrics are attached to the model too. input_example
        (n, ...) holds at least two inputs, because a batch of one would fix the batch size at one.
        """

    def address(self, child: str) -> str:
        """Return the link to child in the UI, for a note; empty if there is no such child yet."""
        return ""

    def annotate(self, child: str, note: str) -> None:
        """Put a note in Markdown on top of child, which is an existing run or PARENT."""

    def fail(self, child: str, reason: str) -> None:
        """End child as failed, with the reason as a tag."""

    def end(self, status: Status) -> None:
        """End the parent run and the children that are still running."""
