"""The verdict in plain words. Every sentence follows from numbers; no method is named but by the label that the rows give it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.reporting.content import Role, Row, SetContent
from pipeline.reporting.numbers import nats, of_retraining, percent, span
from pipeline.reporting.verdict import BLIND_FLOOR, MOST_OF_THE_WAY, Finding, Outcome, is_at_floor, judge, overlap

COUNTED = {
    Outcome.REACHED: "a cheap method reaches the floor of retraining",
    Outcome.CLOSE: "a cheap method comes close to it",
    Outcome.PARTIAL: "the best cheap method covers only part of the way",
    Outcome.FAILED: "no cheap method works",
    Outcome.NEEDLESS: "doing nothing is already at the floor",
    Outcome.UNCLEAR: "there are too few models to judge",
    Outcome.UNTRIED: "no cheap method was tried",
}
NAMED_AT_MOST = 4


@dataclass(frozen=True)
class Verdict:
    """What is said of one forget set: a headline and the sentences under it."""

    label: str
    outcome: Outcome
    headline: str
    sentences: tuple[str, ...]


def verdict(content: SetContent) -> Verdict:
    """Return the verdict on one forget set."""
    finding = judge(content)
    parts = (_evidence(finding), *_contest(finding), *_damage(finding), *_not_finite(content.rows), *_orientation(finding))
    return Verdict(content.label, finding.outcome, _headline(finding), tuple(part for part in parts if part))


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return one sentence over all forget sets."""
    if not verdicts:
        return "No forget set was judged."
    counts = Counter(one.outcome for one in verdicts)
    total = len(verdicts)
    if len(counts) == 1:
        where = "On the one forget set judged" if total == 1 else f"On both forget sets" if total == 2 else f"On all {total} forget sets"
        return f"{where}, {COUNTED[verdicts[0].outcome]}."
    said = [f"on {counts[outcome]} {COUNTED[outcome]}" for outcome in Outcome if counts[outcome]]
    return f"Of {total} forget sets: {'; '.join(said)}."


def break_even(datamodel_retrainings: float, request_fraction: float) -> str:
    """Return how many requests must share the datamodel before it beats retraining for each.

    datamodel_retrainings: cost of the subset models in trainings on all points; request_fraction: cost of one request in the same unit.
    """
    spent = f"{datamodel_retrainings:,.0f} retrainings"
    if request_fraction >= 1:
        return f"One request costs {of_retraining(request_fraction)}, so the datamodel ({spent}) never pays: retrain."
    requests = math.ceil(datamodel_retrainings / (1 - request_fraction))
    return (
        f"The datamodel costs {spent} once, a request then {of_retraining(request_fraction)}. It beats retraining for each request only if "
        f"{requests:,} or more requests share it; for fewer, retrain."
    )


def _headline(finding: Finding) -> str:
    content, winner, nothing = finding.content, finding.winner, finding.nothing
    floor = content.floor["forget"]
    if finding.outcome == Outcome.UNCLEAR:
        return f"Cannot tell: with {len(content.oracle)} models the floor itself is {nats(floor)} nats"
    if finding.outcome == Outcome.NEEDLESS and nothing is not None:
        return f"Doing nothing is already within {nats(max(nothing.p95['forget'] - floor, 0.0))} nats of the floor: unlearning buys nothing"
    if winner is None:
        return "No cheap method that moves weights was tried"
    worse = any(row is winner for row, _ in finding.harmed)
    if finding.outcome == Outcome.REACHED:
        return f"{winner.label} forgets as well as retraining{', but harms other points' if worse else ''}"
    if finding.outcome == Outcome.CLOSE:
        return f"{winner.label} comes close to retraining{', but harms other points' if worse else ', without reaching it'}"
    if finding.outcome == Outcome.PARTIAL:
        return f"{winner.label} covers only part of the way: retraining wins"
    return "No cheap method works here: retraining wins"


def _evidence(finding: Finding) -> str:
    content, winner, nothing = finding.content, finding.winner, finding.nothing
    floor = content.floor["forget"]
    if finding.outcome == Outcome.UNCLEAR:
        return f"Two independent groups of oracles must agree better than {nats(BLIND_FLOOR)} nats before methods can be told apart; train more models."
    at_rest = "" if nothing is None else f"{nats(nothing.p95['forget'])} nats for doing nothing, "
    if finding.outcome == Outcome.NEEDLESS and nothing is not None:
        return f"P95 KLoM on the forgotten points: {at_rest}{nats(floor)} for independent retrainings."
    if winner is None:
        return f"P95 KLoM on the forgotten points: {at_rest}{nats(floor)} for independent retrainings."
    value = f"{nats(winner.p95['forget'])} (interval {span(winner.interval['forget'])})"
    way = f", {percent(finding.coverage)} of the way" if 0 < finding.coverage < MOST_OF_THE_WAY else ""
    return (
        f"P95 KLoM on the forgotten points: {at_rest}{value} after {winner.label}, against a floor of {nats(floor)} for independent "
        f"retrainings{way}; cost of the request: {of_retraining(winner.cost.fraction)}."
    )


def _contest(finding: Finding) -> list[str]:
    """Return how datamodel and rivals compare, and who does better for more; nothing where there is nothing to win."""
    if finding.outcome in (Outcome.NEEDLESS, Outcome.UNCLEAR):
        return []
    said = []
    datamodel, rival = finding.datamodel, finding.rival
    if datamodel is not None and rival is not None:
        said.append(_compared(finding, datamodel, rival))
    elif finding.winner is not None:
        said.append("No rival without a datamodel was tried." if rival is None else "No method with a datamodel was tried.")
    if finding.costly is not None:
        row = finding.costly
        said.append(f"{row.label} gets to {nats(row.p95['forget'])}, but costs {of_retraining(row.cost.fraction)}.")
    return said


def _compared(finding: Finding, datamodel: Row, rival: Row) -> str:
    if finding.winner is datamodel:
        if overlap(datamodel, rival):
            return f"The best rival without a datamodel, {rival.label}, forgets about as well: {_value(rival)}."
        if rival.p95["forget"] < datamodel.p95["forget"]:
            return f"{rival.label}, without a datamodel, forgets better ({_value(rival)}), but is further off elsewhere."
        return f"The best rival without a datamodel, {rival.label}, stays at {_value(rival)}."
    if overlap(datamodel, rival):
        return f"The best method with a datamodel, {datamodel.label}, forgets about as well: {_value(datamodel)}."
    return f"It needs no datamodel; the best method with one, {datamodel.label}, is at {_value(datamodel)}."


def _value(row: Row) -> str:
    return f"{nats(row.p95['forget'])} for {of_retraining(row.cost.fraction)}"


def _damage(finding: Finding) -> list[str]:
    """Return what unlearning made worse on other points, and where the winner is still off without being to blame."""
    floor, said = finding.content.floor, []
    if finding.harmed:
        cases = [f"{row.label} ({split} {nats(row.p95[split])}, floor {nats(floor[split])})" for row, split in finding.harmed]
        more = f" and {len(cases) - NAMED_AT_MOST} more, see the table" if len(cases) > NAMED_AT_MOST else ""
        said.append(f"Worse than before on points that should stay: {', '.join(cases[:NAMED_AT_MOST])}{more}.")
    if finding.away and finding.winner is not None:
        cases = [f"{split} {nats(finding.winner.p95[split])} (floor {nats(floor[split])})" for split in finding.away]
        said.append(f"After {finding.winner.label} other points are still off, though not worse than before: {', '.join(cases)}.")
    return said


def _not_finite(rows: Sequence[Row]) -> list[str]:
    broken = [f"{row.label} ({row.n_nonfinite:,})" for row in rows if row.n_nonfinite]
    if not broken:
        return []
    return [f"Margins that are not finite, counted as wrong as can be: {', '.join(broken)}."]


def _orientation(finding: Finding) -> list[str]:
    """Return what the bound and the predictor say about where a gap comes from."""
    floor = finding.content.floor["forget"]
    said = []
    for row in finding.of_role[Role.BOUND]:
        said.append(f"{row.label} copies true oracles, so it is a bound and no method: {nats(row.p95['forget'])}.")
    for row in finding.of_role[Role.PREDICTOR]:
        said.append(f"{row.label} predicts the outputs and changes no weights: {nats(row.p95['forget'])}.")
    gap = finding.outcome in (Outcome.PARTIAL, Outcome.FAILED) and finding.datamodel is not None
    bounds = [row.p95["forget"] for row in finding.of_role[Role.BOUND]]
    if gap and bounds and min(bounds) < finding.datamodel.p95["forget"] / 2 and not is_at_floor(finding.datamodel.p95["forget"], floor):
        said.append("So matching can do better than this: what falls short is the datamodel's prediction.")
    return said
