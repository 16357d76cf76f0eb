"""What a comparison says in words. Floors differ between experiments, so a method is as near as it is few floors away."""

from collections.abc import Sequence

from pipeline.reporting.comparison_content import ComparedSet, Comparison, floors_away, lead_label, nearest
from pipeline.reporting.formatting import listed, times_floor


def headline(comparison: Comparison) -> str:
    """Return how many floors the lead method is from retraining in each experiment, and in which it is nearest on which sets."""
    label, names = lead_label(comparison), comparison.names
    if label is None:
        return "No cheap method that moves weights is in all of these experiments; the table shows each on its own."
    spans = []
    for place, name in enumerate(names):
        values = sorted(floors_away(one, label)[place] for one in comparison.sets)
        ends = dict.fromkeys(times_floor(value, 1.0).rstrip("×") or "countless" for value in (values[0], values[-1]))
        spans.append(f"{' to '.join(ends)} floors in {name}")
    places: dict[str, list[str]] = {}
    for one in comparison.sets:
        places.setdefault(nearness(one, label, names), []).append(one.label)
    said = [f"{where} on {'every set' if len(sets) == len(comparison.sets) > 1 else listed(sets)}" for where, sets in places.items()]
    return f"{label} ends at {listed(spans)}. It is {'; '.join(said)}."


def nearness(one: ComparedSet, label: str, names: Sequence[str]) -> str:
    """Return in which experiment a method is nearest to retraining, or that the nearest two are level."""
    where, two = nearest(one, label, names), len(names) == 2
    return f"about as near in {'both' if two else 'the nearest two'}" if where is None else f"{'nearer' if two else 'nearest'} in {where}"
