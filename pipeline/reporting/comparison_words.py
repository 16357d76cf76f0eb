"""What a comparison says in words. Experiments differ in how finely their floors resolve, so a method is as near as it is few floors away."""

import math
from collections.abc import Sequence

from pipeline.reporting.comparison_content import ComparedSet, Comparison, Entry, Method, in_floors
from pipeline.reporting.content import Role
from pipeline.reporting.formatting import nats, times_floor
from pipeline.reporting.verdict import CHEAP
from pipeline.show.results import is_at_floor


def lead_label(comparison: Comparison) -> str | None:
    """Return the method that the words follow: of those that all experiments have, move weights and are cheap, the one that is fewest floors away.

    Methods with a datamodel go before those without; None if there is no such method.
    """
    for role in (Role.DATAMODEL, Role.RIVAL):
        distances: dict[str, list[float]] = {}
        for one in comparison.sets:
            for method in one.methods:
                if method.role == role and all(entry is not None and entry.fraction < CHEAP for entry in method.entries):
                    distances.setdefault(method.label, []).extend(_distances(method, one))
        shared = {label: sum(map(math.log, values)) for label, values in distances.items() if len(values) == len(comparison.sets) * len(comparison.names)}
        if shared:
            return min(shared, key=lambda label: shared[label])
    return None


def headline(comparison: Comparison) -> str:
    """Return what the lead method comes to over all sets in each experiment, and where it is nearest to retraining."""
    label = lead_label(comparison)
    if label is None:
        return "No cheap method that moves weights is in all of these experiments, so only what each says of its own can be read here."
    winners: dict[str, list[str]] = {}
    for one in comparison.sets:
        winners.setdefault(nearest(one, label, comparison.names) or "", []).append(one.label)
    more, level = ("nearer", "about as near in both") if len(comparison.names) == 2 else ("nearest", "about as near in the nearest two")
    said = [f"{more} in {name} on {_all_or_listed(sets, comparison)}" for name, sets in winners.items() if name]
    said += [f"{level} on {_all_or_listed(winners[''], comparison)}"] if "" in winners else []
    return f"{_ranges(comparison, label)} Counted so, it comes {'; '.join(said)}. {_reached(comparison, label)}"


def nearest(one: ComparedSet, label: str, names: Sequence[str]) -> str | None:
    """Return the experiment in which a method is fewest floors from retraining, None if it is not told from the next by their intervals."""
    method = next(method for method in one.methods if method.label == label)
    order = sorted(range(len(names)), key=lambda place: _distances(method, one)[place])
    first, second = ((method.entries[place], one.floor[place]) for place in order[:2])
    if first[0] is None or second[0] is None or _highest(first[0], first[1]) >= in_floors(second[0].interval[0], second[1]):
        return None
    return names[order[0]]


def set_sentence(one: ComparedSet, names: Sequence[str]) -> str:
    """Return what doing nothing, the bound and the predictor come to on a set in each experiment; nothing where no method is one of these."""
    said = []
    for role, meaning in ((Role.NOTHING, "doing nothing"), (Role.PREDICTOR, "the prediction alone"), (Role.BOUND, "matching true oracles")):
        method = next((method for method in one.methods if method.role == role and all(method.entries)), None)
        if method is not None:
            said.append(f"{meaning} {' and '.join(nats(entry.p95) for entry in method.entries if entry is not None)}")
    return f"For orientation, in the order {listed(names)}: {'; '.join(said)}." if said else ""


def listed(words: Sequence[str]) -> str:
    """Return words as a list with `and`."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _all_or_listed(labels: Sequence[str], comparison: Comparison) -> str:
    return "every set" if len(labels) == len(comparison.sets) > 1 else listed(labels)


def _ranges(comparison: Comparison, label: str) -> str:
    """Return how many floors the method is from retraining in each experiment, from the best set to the worst, and how many doing nothing is."""
    names, spans = comparison.names, _spans(comparison, label)
    said = f"{label} ends at {listed([f'{span} floors in {name}' for span, name in zip(spans, names, strict=True)])}"
    nothing = next((method.label for method in comparison.sets[0].methods if method.role == Role.NOTHING), None)
    idle = [] if nothing is None else _spans(comparison, nothing)
    return f"{said}, where doing nothing ends at {listed(idle)}." if all(idle) and idle else f"{said}."


def _spans(comparison: Comparison, label: str) -> list[str]:
    """Return the range of a method's floors over sets for each experiment, an empty one where it lacks the method on a set."""
    spans = []
    for place in range(len(comparison.names)):
        entries = [(method.entries[place], one.floor[place]) for one in comparison.sets for method in one.methods if method.label == label]
        values = sorted(math.inf if entry is None else in_floors(entry.p95, floor) for entry, floor in entries)
        ends = list(dict.fromkeys(times_floor(value, 1.0).rstrip("×") for value in (values[0], values[-1])))
        spans.append(" to ".join(ends) if all(ends) else "")
    return spans


def _reached(comparison: Comparison, label: str) -> str:
    counts = []
    for place, name in enumerate(comparison.names):
        entries = [(method.entries[place], one.floor[place]) for one in comparison.sets for method in one.methods if method.label == label]
        reached = sum(entry is not None and is_at_floor(entry.p95, floor) for entry, floor in entries)
        counts.append(f"on {reached} of {len(entries)} in {name}")
    return f"It reaches the floor {listed(counts)}."


def _distances(method: Method, one: ComparedSet) -> list[float]:
    # A method at 0 is no nearer than what the floor resolves, and has no logarithm.
    return [max(math.inf if entry is None else in_floors(entry.p95, floor), 0.01) for entry, floor in zip(method.entries, one.floor, strict=True)]


def _highest(entry: Entry, floor: float) -> float:
    return in_floors(entry.interval[1], floor)
