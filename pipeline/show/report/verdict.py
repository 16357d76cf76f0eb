"""Judges the best cheap method on a forget set, by the headline of the first judge alone."""

import math
from dataclasses import dataclass
from enum import StrEnum

from pipeline.results.report_content import CHEAP, MethodRow, Role, SetContent, best, best_of

# Shares of the way from doing nothing to the floor. A method that covers the first share is close; one that
# does not cover the second fails.
MOST_OF_THE_WAY, LITTLE_OF_THE_WAY = 0.9, 0.25


class SetOutcome(StrEnum):
    """The outcome of the best cheap method on a forget set, from reaching the floor to failing.

    needless: doing nothing is at the floor already. unclear: retrained models differ too much to tell methods
    apart. untried: no cheap method moves weights.
    """

    REACHED = "reached"
    CLOSE = "close"
    PARTIAL = "partial"
    FAILED = "failed"
    NEEDLESS = "needless"
    UNCLEAR = "unclear"
    UNTRIED = "untried"


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """The outcome on a forget set, and the rows behind it.

    datamodel and rival are the best cheap rows with and without a datamodel, and winner is the better of the
    two. coverage is the share of the way from doing nothing to the floor that the winner covers, NaN if it is
    unknown.
    """

    outcome: SetOutcome
    coverage: float
    winner: MethodRow | None
    datamodel: MethodRow | None
    rival: MethodRow | None


def judge(content: SetContent) -> Finding:
    """Return the finding on a forget set."""
    datamodel, rival = (best_of(content, role, below=CHEAP) for role in (Role.DATAMODEL, Role.RIVAL))
    nothing, winner = (
        best_of(content, Role.NOTHING),
        best((row for row in (datamodel, rival) if row is not None), content),
    )
    coverage = math.nan
    if winner is not None and nothing is not None and (whole := content.main_of(nothing).excess) > 0:
        coverage = (whole - content.main_of(winner).excess) / whole
    outcome = _outcome(winner, nothing, coverage, content)
    return Finding(outcome=outcome, coverage=coverage, winner=winner, datamodel=datamodel, rival=rival)


def _outcome(
    winner: MethodRow | None, nothing: MethodRow | None, coverage: float, content: SetContent
) -> SetOutcome:
    yardstick = content.judge.yardstick
    if not yardstick.tells(content.main):
        return SetOutcome.UNCLEAR
    if nothing is not None and yardstick.is_level(content.main_of(nothing)):
        return SetOutcome.NEEDLESS
    if winner is None:
        return SetOutcome.UNTRIED
    score = content.main_of(winner)
    if yardstick.is_level(score):
        return SetOutcome.REACHED
    if yardstick.is_close(score) or coverage >= MOST_OF_THE_WAY:
        return SetOutcome.CLOSE
    return (
        SetOutcome.FAILED if coverage < LITTLE_OF_THE_WAY or math.isnan(score.value) else SetOutcome.PARTIAL
    )
