"""What a comparison says in words. Experiments differ in how finely their floors resolve, so a method is as near as it is few floors away."""

import math
from collections.abc import Sequence

from pipeline.reporting.comparison_content import ComparedSet, Comparison, Entry, Method, in_floors
from pipeline.reporting.content import Role
from pipeline.reporting.formatting import nats
from pipeline.reporting.verdict import CHEAP, is_at_floor


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
    """Return one sentence over all sets: where the lead method comes nearest to retraining."""
    label = lead_label(comparison)
    if label is None:
        return "No cheap method that moves weights is in all of these experiments, so only what each says of its own can be read here."
    winners: dict[str, list[str]] = {}
    for one in comparison.sets:
        winners.setdefault(nearest(one, label, comparison.names) or "", []).append(one.label)
    more = "nearer" if len(comparison.names) == 2 else "nearest"
    said = [f"{more} in {name} on {listed(sets)}" for name, sets in winners.items() if name]
    said += [f"about as near in {'both' if len(comparison.names) == 2 else 'the nearest ones'} on {listed(winners[''])}"] if "" in winners else []
    return f"Counted in floors, {label} comes {'; '.join(said)}. {_reached(comparison, label)}"


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
