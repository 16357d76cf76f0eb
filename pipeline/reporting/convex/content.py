"""What the chapter on the convex case shows, gathered by the node that has it drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

# How names of algorithms begin, in the order in which they are shown.
ORDER = ("gda_", "gd", "omrs", "om", "dmm_exact", "dmm_datamodels", "dmm_influence")


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearContent:
    """One example at one penalty: curves (n_steps + 1,) by name and findings, as a Panel of the linear study has them."""

    example: str
    spectrum: str
    penalty: float
    n_draws: int
    batch_size: int
    n_subset_models: int
    curves: Mapping[str, Float[np.ndarray, " n_steps_and_start"]]
    findings: Mapping[str, Any]

    def mean(self, mode: str, algorithm: str, choice: str = "best") -> Float[np.ndarray, " n_steps_and_start"]:
        """Return the mean of R over draws."""
        return self.curves[f"{mode}.{algorithm}.{choice}.mean"]

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms: those that know only the data, then those that match outputs."""
        return tuple(sorted(self.findings["n_used"], key=lambda name: ([place for place, start in enumerate(ORDER) if name.startswith(start)][:1], name)))


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvexContent:
    """Everything that the chapter shows."""

    title: str
    linear: tuple[LinearContent, ...] = ()

    def examples(self) -> dict[str, list[LinearContent]]:
        """Return the panels of each example, smallest penalty first."""
        found: dict[str, list[LinearContent]] = {}
        for panel in sorted(self.linear, key=lambda panel: panel.penalty):
            found.setdefault(panel.example, []).append(panel)
        return {example: found[example] for example in dict.fromkeys(panel.example for panel in self.linear)}
