"""How the best cheap method does on a forget set, by its numbers alone."""

import math
from dataclasses import dataclass
from enum import StrEnum

from pipeline.reporting.content import CHEAP, Role, Row, SetContent, best, best_of
from pipeline.show.results import is_at_floor

# From this floor on (nats; 30 models a side) doing nothing and retraining can hardly be told apart.
BLIND_FLOOR = 3.0
# Share of the way from doing nothing to the floor: above the first a method is close, below the second it fails.
MOST_OF_THE_WAY, LITTLE_OF_THE_WAY = 0.9, 0.25


class Outcome(StrEnum):
    """How the best cheap method does."""

    REACHED = "reached"
    CLOSE = "close"
    PARTIAL = "partial"
    FAILED = "failed"
    NEEDLESS = "needless"
    UNCLEAR = "unclear"
    UNTRIED = "untried"


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """The outcome and its rows: winner is the better of datamodel and rival, the best cheap rows of their kinds; coverage is NaN if unknown."""

    outcome: Outcome
    coverage: float
    winner: Row | None
    datamodel: Row | None
    rival: Row | None


def judge(content: SetContent) -> Finding:
    """Return what the rows of a forget set show; coverage is the share of the way from doing nothing to the floor."""
    datamodel, rival = (best_of(content, role, below=CHEAP) for role in (Role.DATAMODEL, Role.RIVAL))
    nothing, winner = best_of(content, Role.NOTHING), best((row for row in (datamodel, rival) if row is not None), content)
    floor, coverage = content.floor["forget"], math.nan
    if winner is not None and nothing is not None and nothing.p95["forget"] > floor:
        coverage = (nothing.p95["forget"] - winner.p95["forget"]) / (nothing.p95["forget"] - floor)
    outcome = _outcome(winner, nothing, coverage, floor)
    return Finding(outcome=outcome, coverage=coverage, winner=winner, datamodel=datamodel, rival=rival)


def _outcome(winner: Row | None, nothing: Row | None, coverage: float, floor: float) -> Outcome:
    if not floor < BLIND_FLOOR:
        return Outcome.UNCLEAR
    if nothing is not None and is_at_floor(nothing.p95["forget"], floor):
        return Outcome.NEEDLESS
    if winner is None:
        return Outcome.UNTRIED
    value = winner.p95["forget"]
    if is_at_floor(value, floor):
        return Outcome.REACHED
    if value <= floor + max(2 * floor, 0.5) or coverage >= MOST_OF_THE_WAY:
        return Outcome.CLOSE
    return Outcome.FAILED if coverage < LITTLE_OF_THE_WAY or math.isnan(value) else Outcome.PARTIAL
