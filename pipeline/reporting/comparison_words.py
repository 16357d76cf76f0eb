"""What a comparison says in words, which follow the headline of the first judge.

Experiments differ in how finely their floors resolve, so KLoM is counted in floors.
"""

import math
from collections.abc import Sequence

from pipeline.reporting.comparison_content import ComparedSet, Comparison, Method
from pipeline.reporting.content import Role
from pipeline.reporting.formatting import in_unit, times_floor
from pipeline.reporting.verdict import CHEAP


def lead_label(comparison: Comparison) -> str | None:
    """Return the method that the words follow: of those that all experiments have, move weights and are cheap, the one that is nearest.

    Methods with a datamodel go before those without; None if there is no such method.
    """
    for role in (Role.DATAMODEL, Role.RIVAL):
        distances: dict[str, list[float]] = {}
        for one in comparison.sets:
            for method in one.methods:
                if method.role == role and all(entry is not None and entry.fraction < CHEAP for entry in method.entries):
                    distances.setdefault(method.label, []).extend(_distances(comparison, method))
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
        winners.setdefault(nearest(comparison, one, label) or "", []).append(one.label)
    more, level = ("nearer", "about as near in both") if len(comparison.names) == 2 else ("nearest", "about as near in the nearest two")
    said = [f"{more} in {name} on {_all_or_listed(sets, comparison)}" for name, sets in winners.items() if name]
    said += [f"{level} on {_all_or_listed(winners[''], comparison)}"] if "" in winners else []
    return f"{_ranges(comparison, label)} {'Counted so, it' if comparison.counts_floors else 'It'} comes {'; '.join(said)}. {_reached(comparison, label)}"


def nearest(comparison: Comparison, one: ComparedSet, label: str) -> str | None:
    """Return the experiment in which a method is nearest to retraining, None if it is not told from the next by their intervals."""
    method, names = next(method for method in one.methods if method.label == label), comparison.names
    order = sorted(range(len(names)), key=lambda place: _distances(comparison, method)[place])
    first, second = (method.entries[place] for place in order[:2])
    if first is None or second is None or comparison.furthest_end(first.main) >= comparison.nearest_end(second.main):
        return None
    return names[order[0]]


def set_sentence(one: ComparedSet, names: Sequence[str]) -> str:
    """Return what doing nothing, the bound and the predictor come to on a set in each experiment; nothing where no method is one of these."""
    said = []
    for role, meaning in ((Role.NOTHING, "doing nothing"), (Role.PREDICTOR, "the prediction alone"), (Role.BOUND, "matching true oracles")):
        method = next((method for method in one.methods if method.role == role and all(method.entries)), None)
        if method is not None:
            said.append(f"{meaning} {' and '.join(in_unit(entry.main.value, entry.main.unit) for entry in method.entries if entry is not None)}")
    return f"For orientation, in the order {listed(names)}: {'; '.join(said)}." if said else ""


def listed(words: Sequence[str]) -> str:
    """Return words as a list with `and`."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _all_or_listed(labels: Sequence[str], comparison: Comparison) -> str:
    return "every set" if len(labels) == len(comparison.sets) > 1 else listed(labels)


def _ranges(comparison: Comparison, label: str) -> str:
    """Return how far the method is from retraining in each experiment, from the best set to the worst, and how far doing nothing is."""
    names, spans = comparison.names, _spans(comparison, label)
    unit, ends = ("floors", "ends at") if comparison.counts_floors else ("from retraining", "ends")
    said = f"{label} {ends} {listed([f'{span} {unit} in {name}' for span, name in zip(spans, names, strict=True)])}"
    nothing = next((method.label for method in comparison.sets[0].methods if method.role == Role.NOTHING), None)
    idle = [] if nothing is None else _spans(comparison, nothing)
    return f"{said}, where doing nothing {ends} {listed(idle)}." if all(idle) and idle else f"{said}."


def _spans(comparison: Comparison, label: str) -> list[str]:
    """Return the range of a method's distances over sets for each experiment, an empty one where it lacks the method on a set."""
    spans = []
    for place in range(len(comparison.names)):
        values = sorted(_distances(comparison, method)[place] for one in comparison.sets for method in one.methods if method.label == label)
        ends = list(dict.fromkeys(_distance_words(comparison, value) for value in (values[0], values[-1])))
        spans.append(" to ".join(ends) if all(ends) else "")
    return spans


def _distance_words(comparison: Comparison, value: float) -> str:
    if comparison.counts_floors:
        return times_floor(value, 1.0).rstrip("×")
    return in_unit(value, comparison.floor.unit, is_named=True) if math.isfinite(value) else ""


def _reached(comparison: Comparison, label: str) -> str:
    yardstick, counts = comparison.judge.yardstick, []
    for place, name in enumerate(comparison.names):
        entries = [method.entries[place] for one in comparison.sets for method in one.methods if method.label == label]
        reached = sum(entry is not None and yardstick.is_level(entry.main) for entry in entries)
        counts.append(f"on {reached} of {len(entries)} in {name}")
    return f"It reaches the floor {listed(counts)}."


def _distances(comparison: Comparison, method: Method) -> list[float]:
    # A method at 0 is no nearer than what the floor resolves, and has no logarithm.
    return [max(math.inf if entry is None else comparison.distance(entry.main), 0.01) for entry in method.entries]
