"""What a comparison of experiments shows, as plain frozen values: methods × experiments for each forget set that all of them have."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.errors import ShapeError
from pipeline.reporting.content import CHEAP, Role


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


def lead_label(comparison: Comparison) -> str | None:
    """Return the cheap method in all experiments that moves weights and is fewest floors away, with a datamodel if any; else None."""
    for role in (Role.DATAMODEL, Role.RIVAL):
        labels = [{one.label for one in each.methods if one.role == role and _is_cheap_everywhere(each, one.label)} for each in comparison.sets]
        # A method at 0 is no nearer than what the floor resolves, and has no logarithm.
        totals = {
            label: sum(math.log(max(value, 0.01)) for each in comparison.sets for value in floors_away(each, label)) for label in set.intersection(*labels)
        }
        if totals:
            return min(sorted(totals), key=lambda label: totals[label])
    return None


def nearest(one: ComparedSet, label: str, names: Sequence[str]) -> str | None:
    """Return the experiment in which a method is fewest floors from retraining, None if intervals do not tell it from the next."""
    entries, floors = next(method.entries for method in one.methods if method.label == label), floors_away(one, label)
    first, second = sorted(range(len(names)), key=lambda place: floors[place])[:2]
    ends = [(math.inf, math.inf) if entry is None else entry.interval for entry in (entries[first], entries[second])]
    is_told = in_floors(ends[0][1], one.floor[first]) < in_floors(ends[1][0], one.floor[second])
    return names[first] if is_told and entries[second] is not None else None


def floors_away(one: ComparedSet, label: str) -> list[float]:
    """Return how many floors a method is from retraining in each experiment, infinitely many where it is not known."""
    entries = next((method.entries for method in one.methods if method.label == label), ())
    return [math.inf if entry is None else in_floors(entry.p95, floor) for entry, floor in zip(entries, one.floor, strict=False)]


def _is_cheap_everywhere(one: ComparedSet, label: str) -> bool:
    return all(entry is not None and entry.fraction < CHEAP for method in one.methods if method.label == label for entry in method.entries)
