"""The content of the chapter on the convex case, collected by the node that draws it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

# Prefixes of the names of algorithms, in the order in which they are shown.
ORDER = ("gda_", "gd", "omrs", "om", "dmm_exact", "dmm_datamodels", "dmm_influence")


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearContent:
    """One panel: one example of the linear study at one penalty.

    curves (n_steps + 1,) by name and findings come from the LinearResult of this panel.
    """

    example: str
    spectrum: str
    penalty: float
    n_draws: int
    n_points: int
    n_features: int
    n_forget: int
    noise_variance: float
    batch_size: int
    n_subset_models: int
    curves: Mapping[str, Float[np.ndarray, " n_steps_and_start"]]
    findings: Mapping[str, Any]

    def mean(
        self, mode: str, algorithm: str, choice: str = "best"
    ) -> Float[np.ndarray, " n_steps_and_start"]:
        """Return the mean of R over draws."""
        return self.curves[f"{mode}.{algorithm}.{choice}.mean"]

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms: first those that know only the data, then those that match outputs."""
        return tuple(
            sorted(
                self.findings["n_used"],
                key=lambda name: (
                    [place for place, start in enumerate(ORDER) if name.startswith(start)][:1],
                    name,
                ),
            )
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class CourseContent:
    """The course of one removal on real data: R (shares) against the number of steps and against the cost.

    evaluations counts the gradients of single points up to each record.
    """

    label: str
    steps: Int[np.ndarray, " n_records"]
    evaluations: Int[np.ndarray, " n_records"]
    shares: Float[np.ndarray, " n_records"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DataContent:
    """One real data set and the courses of its removals.

    facts, outcomes, and the cells of sweeps come from the summary of its ConvexData node.
    """

    label: str
    courses: tuple[CourseContent, ...]
    facts: Mapping[str, Any]
    outcomes: tuple[Mapping[str, Any], ...]
    cells: tuple[Mapping[str, Any], ...]

    def course(self, label: str) -> CourseContent | None:
        """Return the course of a removal, or None if it was not run."""
        return next((course for course in self.courses if course.label == label), None)

    def sweep(self, factor: str) -> list[Mapping[str, Any]]:
        """Return the cells of one factor, in increasing order."""
        return [cell for cell in self.cells if cell["factor"] == factor]


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseContent:
    """The strongest attack on one method in one situation: TPR at each FPR (n_rates,).

    told is the description of the case in the summary of the ConvexGuarantees node.
    """

    fpr: Float[np.ndarray, " n_rates"]
    tpr: Float[np.ndarray, " n_rates"]
    told: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class GuaranteeContent:
    """All cases, and the facts that they share: the promise and the data."""

    facts: Mapping[str, Any]
    cases: tuple[CaseContent, ...]

    def methods(self) -> dict[str, list[CaseContent]]:
        """Return the cases by method."""
        found: dict[str, list[CaseContent]] = {}
        for case in self.cases:
            found.setdefault(case.told["method"], []).append(case)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvexContent:
    """Everything that the chapter shows; left_out names the data sets that are not studied, and why."""

    title: str
    linear: tuple[LinearContent, ...] = ()
    data: tuple[DataContent, ...] = ()
    left_out: tuple[str, ...] = ()
    guarantees: GuaranteeContent | None = None

    def examples(self) -> dict[str, list[LinearContent]]:
        """Return the panels of each example, smallest penalty first."""
        found: dict[str, list[LinearContent]] = {}
        for panel in sorted(self.linear, key=lambda panel: panel.penalty):
            found.setdefault(panel.example, []).append(panel)
        return {example: found[example] for example in dict.fromkeys(panel.example for panel in self.linear)}
