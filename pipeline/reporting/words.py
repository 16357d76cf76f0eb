"""The verdict in plain words. Every sentence follows from numbers; no method is named but by the label that the rows give it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.reporting.content import Role, Row, SetContent
from pipeline.reporting.formatting import nats, of_retraining, percent, span
from pipeline.reporting.verdict import BLIND_FLOOR, Finding, Outcome, are_level, judge
from pipeline.show.results import is_at_floor

SAID = {
    Outcome.REACHED: "a cheap method reaches the floor of retraining",
    Outcome.CLOSE: "a cheap method comes close to retraining",
    Outcome.PARTIAL: "the best cheap method covers only part of the way",
    Outcome.FAILED: "no cheap method works",
    Outcome.NEEDLESS: "doing nothing is already at the floor",
    Outcome.UNCLEAR: "there are too few models to judge",
    Outcome.UNTRIED: "no cheap method was tried",
}
NAMED_AT_MOST = 4


@dataclass(frozen=True)
class Verdict:
    """What is said of one forget set: a headline, the sentences under it, and an aside on rows that are no methods.

    measures are (value, what it is), for those who show them large.
    """

    label: str
    outcome: Outcome
    headline: str
    measures: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    aside: str


def verdict(content: SetContent) -> Verdict:
    """Return the verdict on one forget set."""
    finding = judge(content)
    return Verdict(
        label=content.label,
        outcome=finding.outcome,
        headline=_headline(finding),
        measures=_measures(finding),
        sentences=(*_evidence(finding), *_contest(finding), *_damage(finding), *_not_finite(content.rows)),
        aside=_aside(finding),
    )


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return one sentence over all forget sets: by name if they are few, else counted."""
    if not verdicts:
        return "No forget set was judged."
    if len(verdicts) <= NAMED_AT_MOST:
        said = "; ".join(f"on {one.label}, {SAID[one.outcome]}" for one in verdicts)
        return f"{said[0].upper()}{said[1:]}."
    counts = Counter(one.outcome for one in verdicts)
    said = "; ".join(f"on {counts[outcome]}, {SAID[outcome]}" for outcome in Outcome if counts[outcome])
    return f"Of {len(verdicts)} forget sets: {said}."


def _headline(finding: Finding) -> str:
    content, winner, nothing = finding.content, finding.winner, finding.nothing
    floor = content.floor["forget"]
    if finding.outcome == Outcome.UNCLEAR:
        return f"Cannot tell: with {len(content.oracle)} models the floor itself is {nats(floor)} nats"
    if finding.outcome == Outcome.NEEDLESS and nothing is not None:
        return f"Doing nothing is already within {nats(max(nothing.p95['forget'] - floor, 0.0))} nats of the floor: unlearning buys nothing"
    if winner is None:
        return "No cheap method that moves weights was tried"
    harms = any(row is winner for row, _ in finding.harmed)
    said = {
        Outcome.REACHED: f"{winner.label} reaches the floor of retraining{', but harms other points' if harms else ''}",
        Outcome.CLOSE: f"{winner.label} comes close to retraining{', but harms other points' if harms else ', without reaching it'}",
        Outcome.PARTIAL: f"{winner.label} covers only part of the way: retraining wins",
    }
    return said.get(finding.outcome, "No cheap method works here: retraining wins")


def _measures(finding: Finding) -> tuple[tuple[str, str], ...]:
    """Return P95 KLoM on the forget set for doing nothing, the winner and independent retrainings, and what the winner costs."""
    shown = [(row, name) for row, name in ((finding.nothing, "doing nothing"), (finding.winner, "")) if row is not None]
    values = [(_forget(row), name or row.label) for row, name in shown]
    cost = [] if finding.winner is None else [(percent(finding.winner.cost.fraction), "of a retraining")]
    return (*values, (nats(finding.content.floor["forget"]), "retraining"), *cost)


def _evidence(finding: Finding) -> list[str]:
    winner = finding.winner
    if finding.outcome == Outcome.UNCLEAR:
        return [f"Independent groups of oracles must agree better than {nats(BLIND_FLOOR)} nats before methods can be told apart; train more models."]
    if finding.outcome == Outcome.NEEDLESS or winner is None:
        return []
    cost = of_retraining(winner.cost.fraction)
    about = f"P95 KLoM {_forget(winner)} ({span(winner.interval['forget'])})"
    if math.isnan(finding.coverage):
        return [f"{winner.label} ends at {about} for {cost}; the floor is {nats(finding.content.floor['forget'])}."]
    if finding.coverage <= 0:
        return [f"The best cheap method, {winner.label}, ends no nearer than doing nothing: {about} for {cost}."]
    share = "all" if finding.coverage >= 0.995 else percent(finding.coverage)
    return [f"{winner.label} closes {share} of the gap between doing nothing and retraining for {cost}: {about}."]


def _contest(finding: Finding) -> list[str]:
    """Return how datamodel and rivals compare, and who does better for more; nothing where there is nothing to win."""
    if finding.outcome == Outcome.UNCLEAR:
        return []
    if finding.outcome == Outcome.NEEDLESS:
        floor = finding.content.floor["forget"]
        worse = [row for row in finding.content.rows if row.moves_weights and not is_at_floor(row.p95["forget"], floor)]
        cases = [f"{row.label} ({_forget(row)})" for row in worse]
        return [f"What makes it worse: {_listed(cases)}."] if cases else []
    said = []
    datamodel, rival = finding.datamodel, finding.rival
    if datamodel is not None and rival is not None:
        said.append(_compared(finding, datamodel, rival))
    elif finding.winner is not None:
        said.append("No rival without a datamodel was tried." if rival is None else "No method with a datamodel was tried.")
    if finding.costly is not None:
        row = finding.costly
        said.append(f"{row.label} gets to {_forget(row)}, but costs {of_retraining(row.cost.fraction)}.")
    return said


def _compared(finding: Finding, datamodel: Row, rival: Row) -> str:
    if finding.winner is datamodel:
        if are_level(datamodel, rival):
            return f"The best rival without a datamodel, {rival.label}, forgets about as well: {_value(rival)}."
        if rival.p95["forget"] < datamodel.p95["forget"]:
            return f"{rival.label}, without a datamodel, forgets better ({_value(rival)}), but is further off elsewhere."
        return f"The best rival without a datamodel, {rival.label}, stays at {_value(rival)}."
    if are_level(datamodel, rival):
        return f"The best method with a datamodel, {datamodel.label}, forgets about as well: {_value(datamodel)}."
    return f"It needs no datamodel; the best method with one, {datamodel.label}, is at {_value(datamodel)}."


def _value(row: Row) -> str:
    return f"{_forget(row)} for {of_retraining(row.cost.fraction)}"


def _forget(row: Row) -> str:
    return nats(row.p95["forget"])


def _listed(cases: Sequence[str]) -> str:
    """Return cases as a list, all but the first few as a number."""
    more = f" and {len(cases) - NAMED_AT_MOST} more, see the table" if len(cases) > NAMED_AT_MOST else ""
    return ", ".join(cases[:NAMED_AT_MOST]) + more


def _damage(finding: Finding) -> list[str]:
    """Return what unlearning made worse on other points, and where the winner is still off without being to blame."""
    floor, said = finding.content.floor, []
    if finding.harmed:
        cases = [f"{row.label} ({split} {nats(row.p95[split])}, floor {nats(floor[split])})" for row, split in finding.harmed]
        said.append(f"Worse than before on points that should stay: {_listed(cases)}.")
    if finding.away and finding.winner is not None:
        cases = [f"{split} {nats(finding.winner.p95[split])} (floor {nats(floor[split])})" for split in finding.away]
        said.append(f"After {finding.winner.label} other points are still off, though not worse than before: {', '.join(cases)}.")
    return said


def _not_finite(rows: Sequence[Row]) -> list[str]:
    broken = [f"{row.label} ({row.n_nonfinite:,})" for row in rows if row.n_nonfinite]
    if not broken:
        return []
    return [f"Margins that are not finite, counted as wrong as can be: {_listed(broken)}."]


def _aside(finding: Finding) -> str:
    """Return what bounds and predictors reach, and what that says of a gap."""
    bounds, predictors = finding.of_role[Role.BOUND], finding.of_role[Role.PREDICTOR]
    meanings = (("a bound, which copies true oracles", bounds), ("a predictor, which changes no weights", predictors))
    said = [f"{meaning} ({_listed([f'{row.label} {_forget(row)}' for row in rows])})" for meaning, rows in meanings if rows]
    if not said:
        return ""
    return f"For orientation: {'; '.join(said)}.{_lesson(finding)}"


def _lesson(finding: Finding) -> str:
    """Return where a method with a datamodel loses what a bound does not: in predicting or in matching; nothing where neither can be told."""
    datamodel, gap = finding.datamodel, finding.outcome in (Outcome.PARTIAL, Outcome.FAILED)
    if datamodel is None or not gap:
        return ""
    half = datamodel.p95["forget"] / 2
    if not any(row.p95["forget"] < half for row in finding.of_role[Role.BOUND]):
        return ""
    # A predictor a little above half is told from one that is hardly better than what was matched to it.
    if any(row.p95["forget"] < 1.3 * half for row in finding.of_role[Role.PREDICTOR]):
        return " The prediction alone is much nearer than the model that was fine-tuned to it: matching loses what it does not lose with true targets."
    return " With true targets matching gets further, so the datamodel's prediction is what falls short."
