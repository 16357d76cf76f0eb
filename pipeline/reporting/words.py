"""The verdict in plain words. Every sentence follows from numbers; no method is named but by the label that the rows give it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.evaluation.judges.scores import Score
from pipeline.reporting.content import Role, Row, SetContent
from pipeline.reporting.formatting import in_unit, of_retraining, percent, span_in_unit
from pipeline.reporting.verdict import Finding, Outcome, are_level, judge

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
        sentences=(*_evidence(finding), *_contest(finding), *_damage(finding), *_not_finite(content)),
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
    if finding.outcome == Outcome.UNCLEAR:
        return f"Cannot tell: with {len(content.oracle)} models the floor itself is {_named(content.main)}"
    if finding.outcome == Outcome.NEEDLESS and nothing is not None:
        score = content.main_of(nothing)
        within = in_unit(max(score.excess, 0.0), score.unit, is_named=True)
        return f"Doing nothing is already within {within} of the floor: unlearning buys nothing"
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
    """Return the headline for doing nothing, the winner and independent retrainings, and what the winner costs."""
    content = finding.content
    shown = [(row, name) for row, name in ((finding.nothing, "doing nothing"), (finding.winner, "")) if row is not None]
    values = [(_main(row, content), name or row.label) for row, name in shown]
    cost = [] if finding.winner is None else [(percent(finding.winner.cost.fraction), "of a retraining")]
    return (*values, (_reference(content.main), "retraining"), *cost)


def _evidence(finding: Finding) -> list[str]:
    winner, content = finding.winner, finding.content
    if finding.outcome == Outcome.UNCLEAR:
        blind = in_unit(content.judge.yardstick.blind or 0.0, content.main.unit, is_named=True)
        return [f"Independent groups of oracles must agree better than {blind} before methods can be told apart; train more models."]
    if finding.outcome == Outcome.NEEDLESS or winner is None:
        return []
    cost, score = of_retraining(winner.cost.fraction), content.main_of(winner)
    about = f"{content.title} {_value(score)}"
    about += "" if score.interval is None else f" ({span_in_unit(score.interval, score.unit)})"
    if math.isnan(finding.coverage):
        return [f"{winner.label} ends at {about} for {cost}; the floor is {_reference(content.main)}."]
    if finding.coverage <= 0:
        return [f"The best cheap method, {winner.label}, ends no nearer than doing nothing: {about} for {cost}."]
    share = "all" if finding.coverage >= 0.995 else percent(finding.coverage)
    return [f"{winner.label} closes {share} of the gap between doing nothing and retraining for {cost}: {about}."]


def _contest(finding: Finding) -> list[str]:
    """Return how datamodel and rivals compare, and who does better for more; nothing where there is nothing to win."""
    content = finding.content
    if finding.outcome == Outcome.UNCLEAR:
        return []
    if finding.outcome == Outcome.NEEDLESS:
        yardstick = content.judge.yardstick
        worse = [row for row in content.judged if row.moves_weights and not yardstick.is_level(content.main_of(row))]
        cases = [f"{row.label} ({_main(row, content)})" for row in worse]
        return [f"What makes it worse: {_listed(cases)}."] if cases else []
    said = []
    datamodel, rival = finding.datamodel, finding.rival
    if datamodel is not None and rival is not None:
        said.append(_compared(finding, datamodel, rival))
    elif finding.winner is not None:
        said.append("No rival without a datamodel was tried." if rival is None else "No method with a datamodel was tried.")
    if finding.costly is not None:
        row = finding.costly
        said.append(f"{row.label} gets to {_main(row, content)}, but costs {of_retraining(row.cost.fraction)}.")
    return said


def _compared(finding: Finding, datamodel: Row, rival: Row) -> str:
    content = finding.content
    if finding.winner is datamodel:
        if are_level(datamodel, rival, content):
            return f"The best rival without a datamodel, {rival.label}, forgets about as well: {_price(rival, content)}."
        if content.main_of(rival).excess < content.main_of(datamodel).excess:
            return f"{rival.label}, without a datamodel, forgets better ({_price(rival, content)}), but is further off elsewhere."
        return f"The best rival without a datamodel, {rival.label}, stays at {_price(rival, content)}."
    if are_level(datamodel, rival, content):
        return f"The best method with a datamodel, {datamodel.label}, forgets about as well: {_price(datamodel, content)}."
    return f"It needs no datamodel; the best method with one, {datamodel.label}, is at {_price(datamodel, content)}."


def _price(row: Row, content: SetContent) -> str:
    return f"{_main(row, content)} for {of_retraining(row.cost.fraction)}"


def _main(row: Row, content: SetContent) -> str:
    """Return the headline of a row on the split that matters most."""
    return _value(content.main_of(row))


def _value(score: Score) -> str:
    return in_unit(score.value, score.unit)


def _reference(score: Score) -> str:
    return in_unit(math.nan if score.reference is None else score.reference, score.unit)


def _named(score: Score) -> str:
    """Return the reference of a score with its unit."""
    return in_unit(math.nan if score.reference is None else score.reference, score.unit, is_named=True)


def _listed(cases: Sequence[str]) -> str:
    """Return cases as a list, all but the first few as a number."""
    more = f" and {len(cases) - NAMED_AT_MOST} more, see the table" if len(cases) > NAMED_AT_MOST else ""
    return ", ".join(cases[:NAMED_AT_MOST]) + more


def _damage(finding: Finding) -> list[str]:
    """Return what unlearning made worse on other points, and where the winner is still off without being to blame."""
    content, said = finding.content, []
    if finding.harmed:
        cases = [(row.label, content.of(row)[split]) for row, split in finding.harmed]
        words = [f"{label} ({score.split} {_value(score)}, floor {_reference(score)})" for label, score in cases]
        said.append(f"Worse than before on points that should stay: {_listed(words)}.")
    if finding.away and finding.winner is not None:
        off = [content.of(finding.winner)[split] for split in finding.away]
        words = [f"{score.split} {_value(score)} (floor {_reference(score)})" for score in off]
        said.append(f"After {finding.winner.label} other points are still off, though not worse than before: {', '.join(words)}.")
    return said


def _not_finite(content: SetContent) -> list[str]:
    counts = {row.label: row.n_nonfinite for row in content.rows}
    broken = [f"{label} ({count:,})" for label, count in counts.items() if count]
    if not broken:
        return []
    return [f"Margins that are not finite, counted as wrong as can be: {_listed(broken)}."]


def _aside(finding: Finding) -> str:
    """Return what bounds and predictors reach, and what that says of a gap."""
    bounds, predictors = finding.of_role[Role.BOUND], finding.of_role[Role.PREDICTOR]
    meanings = (("a bound, which copies true oracles", bounds), ("a predictor, which changes no weights", predictors))
    said = [f"{meaning} ({_listed([f'{row.label} {_main(row, finding.content)}' for row in rows])})" for meaning, rows in meanings if rows]
    if not said:
        return ""
    return f"For orientation: {'; '.join(said)}.{_lesson(finding)}"


def _lesson(finding: Finding) -> str:
    """Return where a method with a datamodel loses what a bound does not: in predicting or in matching; nothing where neither can be told."""
    datamodel, gap = finding.datamodel, finding.outcome in (Outcome.PARTIAL, Outcome.FAILED)
    if datamodel is None or not gap:
        return ""
    content = finding.content
    half = content.main_of(datamodel).excess / 2
    if not any(content.main_of(row).excess < half for row in finding.of_role[Role.BOUND]):
        return ""
    # A predictor a little above half is told from one that is hardly better than what was matched to it.
    if any(content.main_of(row).excess < 1.3 * half for row in finding.of_role[Role.PREDICTOR]):
        return " The prediction alone is much nearer than the model that was fine-tuned to it: matching loses what it does not lose with true targets."
    return " With true targets matching gets further, so the datamodel's prediction is what falls short."
