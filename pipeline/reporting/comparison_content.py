"""What a comparison of experiments shows, as plain frozen values: methods × experiments for each forget set that all of them have."""

import math
from dataclasses import dataclass

from pipeline.core.errors import ShapeError
from pipeline.reporting.content import Role


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method in one experiment on one forget set.

    p95 and interval are KLoM on the forgotten points in nats, accuracy is on validation, fraction and amortised_fraction are the cost of a request
    in retrainings without and with its share of the datamodel. n_nonfinite counts margins that are not finite.
    """

    plugin: str
    p95: float
    interval: tuple[float, float]
    accuracy: float
    fraction: float
    amortised_fraction: float
    n_nonfinite: int = 0


@dataclass(frozen=True, kw_only=True)
class Method:
    """An unlearner by its label: one entry for each experiment, None where it has no unlearner of that label."""

    label: str
    role: Role
    entries: tuple[Entry | None, ...]


@dataclass(frozen=True, kw_only=True)
class ComparedSet:
    """A forget set that all experiments have by label: with n_points, the floor in nats and the oracles' validation accuracy of each.

    same_points says whether it is the same training points of the same data everywhere.
    """

    label: str
    same_points: bool
    n_points: tuple[int, ...]
    floor: tuple[float, ...]
    oracle_accuracy: tuple[float, ...]
    methods: tuple[Method, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.n_points), len(self.floor), len(self.oracle_accuracy), *(len(method.entries) for method in self.methods)}
        if len(lengths) != 1:
            raise ShapeError(f"forget set {self.label!r} has values of {sorted(lengths)} experiments; give one for each experiment")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything on the page. models are words, n_models counts unlearned models and oracles of each experiment, evaluation says how all were judged.

    differences are (setting, its value in each experiment as words).
    """

    names: tuple[str, ...]
    models: tuple[str, ...]
    n_models: tuple[tuple[int, int], ...]
    evaluation: str
    sets: tuple[ComparedSet, ...]
    differences: tuple[tuple[str, tuple[str, ...]], ...]


def in_floors(value: float, floor: float) -> float:
    """Return a KLoM as a multiple of the floor; infinite where it is no number or there is no floor."""
    return value / floor if math.isfinite(value) and floor > 0 else math.inf
