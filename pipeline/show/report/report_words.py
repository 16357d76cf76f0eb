"""The verdict on a forget set in words: a headline, key figures and caveats.

All other results are in the table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.results.formatting import in_unit, listed, of_retraining, percent
from pipeline.results.report_content import Role, SetContent, are_level, best_of, harmed_splits
from pipeline.show.report.verdict import Finding, SetOutcome, judge

# For each outcome, the words for the summary of all sets and the headline of one set.
SAID = {
    SetOutcome.REACHED: (
        "a cheap method reaches the floor of retraining",
        "{winner} reaches the floor of retraining",
    ),
    SetOutcome.CLOSE: ("a cheap method comes close to retraining", "{winner} comes close to retraining"),
    SetOutcome.PARTIAL: (
        "the best cheap method covers only part of the way",
        "{winner} covers only part of the way: retraining wins",
    ),
    SetOutcome.FAILED: ("no cheap method works", "No cheap method works: retraining wins"),
    SetOutcome.NEEDLESS: (
        "doing nothing is already at the floor",
        "Doing nothing is already at the floor: unlearning buys nothing",
    ),
    SetOutcome.UNCLEAR: (
        "there are too few models to judge",
        "Cannot tell: with {n_models} models the floor itself is {floor}",
    ),
    SetOutcome.UNTRIED: ("no cheap method was tried", "No cheap method that moves weights was tried"),
}


@dataclass(frozen=True)
class Verdict:
    """The verdict on one forget set in words."""

    label: str
    outcome: SetOutcome
    headline: str
    sentences: tuple[str, ...]


def verdict(content: SetContent) -> Verdict:
    """Return the verdict on one forget set."""
    finding = judge(content)
    floor = in_unit(content.reference, content.main.unit, is_named=True)
    named = {
        "winner": "" if finding.winner is None else finding.winner.label,
        "n_models": len(content.oracle),
        "floor": floor,
    }
    contest = (
        [] if finding.outcome in (SetOutcome.UNCLEAR, SetOutcome.NEEDLESS) else _contest(finding, content)
    )
    harmed = [row.label for row in content.rows if harmed_splits(row, content)]
    caveats = (
        [f"Worse than before on other points: {listed(harmed)}."]
        if harmed and finding.outcome != SetOutcome.UNCLEAR
        else []
    )
    headline, sentences = (
        SAID[finding.outcome][1].format(**named),
        (*contest, *_lesson(finding, content), *caveats),
    )
    return Verdict(content.label, finding.outcome, headline, sentences)


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return one sentence over all forget sets."""
    labels = {outcome: [one.label for one in verdicts if one.outcome == outcome] for outcome in SAID}
    said = "; ".join(f"on {listed(of)}, {SAID[outcome][0]}" for outcome, of in labels.items() if of)
    return f"O{said[1:]}." if said else "No forget set was judged."


def _contest(finding: Finding, content: SetContent) -> list[str]:
    """Return sentences on the best cheap method: how far it gets, at what cost, and how its rival does.

    If the best method uses a datamodel, the rival is the best cheap one without; otherwise it is the reverse.
    """
    winner, coverage = finding.winner, finding.coverage
    if winner is None:
        return []
    gap = (
        "ends no nearer than doing nothing"
        if coverage <= 0
        else f"closes {percent(min(coverage, 1.0))} of the gap to retraining"
    )
    end = f"ends at {content.shown(winner, is_named=True)}" if math.isnan(coverage) else gap
    said = [f"{winner.label} {end} for {of_retraining(winner.cost.fraction)}."]
    other, kind = (finding.rival, "without") if winner is finding.datamodel else (finding.datamodel, "with")
    if other is None:
        return [*said, f"No method {kind} a datamodel was tried."]
    better = (
        ", but further off elsewhere"
        if content.main_of(other).excess < content.main_of(winner).excess
        else ""
    )
    level = ", about level" if are_level(winner, other, content) else better
    return [
        *said,
        f"Best {kind} a datamodel: {other.label}, {content.shown(other)} for "
        f"{of_retraining(other.cost.fraction)}{level}.",
    ]


def _lesson(finding: Finding, content: SetContent) -> list[str]:
    """Return a sentence that says why the method with a datamodel falls short: by prediction or fine-tuning.

    The list is empty unless this method falls short and a method with true oracles gets at least twice as
    near to retraining.
    """
    bound, predictor = (best_of(content, role) for role in (Role.BOUND, Role.PREDICTOR))
    half = (
        math.nan
        if finding.datamodel is None or finding.outcome not in ("partial", "failed")
        else content.main_of(finding.datamodel).excess / 2
    )
    if bound is None or not content.main_of(bound).excess < half:
        return []
    is_good = predictor is not None and content.main_of(predictor).excess < 1.3 * half
    return [
        "The prediction is good: matching to it is what falls short."
        if is_good
        else "True targets get further: the prediction is what falls short."
    ]
