"""A comparison in words.

Floors differ between experiments. Where the judge allows it, the distance of a method from retraining is
therefore a multiple of the experiment's own floor.
"""

from pipeline.results.comparison_content import ComparedSet, Comparison, distances, lead_label, nearest
from pipeline.results.formatting import listed


def headline(comparison: Comparison) -> str:
    """Return in words how far the method of `lead_label` is from retraining in each experiment.

    The text also names, for each forget set, the experiment in which the method is nearest.
    """
    label, names = lead_label(comparison), comparison.names
    if label is None:
        return (
            "No cheap method that moves weights is in all of these experiments; the table shows each on its "
            "own."
        )
    spans = []
    for place, name in enumerate(names):
        values = sorted(distances(comparison, one, label)[place] for one in comparison.sets)
        ends = dict.fromkeys(comparison.away(value) for value in (values[0], values[-1]))
        spans.append(
            f"{' to '.join(ends)} {'floors' if comparison.counts_floors else 'from retraining'} in {name}"
        )
    places: dict[str, list[str]] = {}
    for one in comparison.sets:
        places.setdefault(nearness(comparison, one, label), []).append(one.label)
    said = [
        f"{where} on {'every set' if len(sets) == len(comparison.sets) > 1 else listed(sets)}"
        for where, sets in places.items()
    ]
    return (
        f"{label} ends {'at ' if comparison.counts_floors else ''}{listed(spans)}. It is {'; '.join(said)}."
    )


def nearness(comparison: Comparison, one: ComparedSet, label: str) -> str:
    """Return in words where a method is nearest to retraining, or that the nearest two are level."""
    where, two = nearest(comparison, one, label), len(comparison.names) == 2
    return (
        f"about as near in {'both' if two else 'the nearest two'}"
        if where is None
        else f"{'nearer' if two else 'nearest'} in {where}"
    )
