"""What the numbers of one forget set allow to say, before it is put into words.

All of it follows from the headline of the first judge. The best method is the one whose worst split is nearest the floor,
so none wins by forgetting well and ruining the rest.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.evaluation.judges.scores import Score
from pipeline.reporting.content import Role, Row, SetContent

# A method that costs more than this fraction of a retraining is no way round retraining.
CHEAP = 0.5
# Share of the way from doing nothing to the floor: above the first a method is close, below the second it has hardly begun.
MOST_OF_THE_WAY, LITTLE_OF_THE_WAY = 0.9, 0.25


class Outcome(StrEnum):
    """How the best cheap method fares on one forget set."""

    REACHED = "reached"
    CLOSE = "close"
    PARTIAL = "partial"
    FAILED = "failed"
    NEEDLESS = "needless"
    UNCLEAR = "unclear"
    UNTRIED = "untried"


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """The outcome and the rows it rests on: winner is the better of datamodel and rival, each the best cheap one of its kind.

    coverage is the share of the way from doing nothing to the floor that the winner covers on the main split, NaN if that cannot be said.
    costly beats the winner but costs half a retraining or more; harmed lists every (row, split) of the other splits that unlearning
    made worse; away lists the splits on which the winner is off without having made them worse.
    """

    outcome: Outcome
    coverage: float
    content: SetContent
    winner: Row | None
    datamodel: Row | None
    rival: Row | None
    nothing: Row | None
    costly: Row | None
    harmed: tuple[tuple[Row, str], ...]
    away: tuple[str, ...]
    of_role: Mapping[Role, tuple[Row, ...]]


def judge(content: SetContent) -> Finding:
    """Return what the rows of a forget set show."""
    rows = content.judged
    of_role = {role: tuple(row for row in rows if row.role == role) for role in Role}
    nothing = best(of_role[Role.NOTHING], content)
    datamodel = best((row for row in of_role[Role.DATAMODEL] if row.cost.fraction < CHEAP), content)
    rival = best((row for row in of_role[Role.RIVAL] if row.cost.fraction < CHEAP), content)
    winner = best((row for row in (datamodel, rival) if row is not None), content)
    costly = best((row for row in of_role[Role.DATAMODEL] + of_role[Role.RIVAL] if row.cost.fraction >= CHEAP), content)
    beaten = costly is not None and (winner is None or excess(costly, content) < excess(winner, content))
    others = [split for split in content.headline if split != content.main.split]
    harmed = tuple((row, split) for row in rows for split in others if _is_harmed(row, split, content, nothing))
    off = () if winner is None else tuple(split for split in others if content.judge.yardstick.is_off(content.of(winner)[split]))
    coverage = _coverage(winner, nothing, content)
    return Finding(
        outcome=_outcome(winner, nothing, coverage, content),
        coverage=coverage,
        content=content,
        winner=winner,
        datamodel=datamodel,
        rival=rival,
        nothing=nothing,
        costly=costly if beaten else None,
        harmed=harmed,
        away=tuple(split for split in off if (winner, split) not in harmed),
        of_role=of_role,
    )


def best(rows: Iterable[Row], content: SetContent) -> Row | None:
    """Return the row whose worst split is nearest the floor, the first of equals; None if there is none."""
    return min(rows, key=lambda row: excess(row, content), default=None)


def chosen_row(content: SetContent) -> Row | None:
    """Return the row whose points a report looks at: the best datamodel-based one, else the best that trains, else any that is not nothing."""
    finding = judge(content)
    for roles in ((Role.DATAMODEL,), (Role.RIVAL,), (Role.PREDICTOR, Role.BOUND), (Role.NOTHING,)):
        found = best((row for role in roles for row in finding.of_role[role]), content)
        if found is not None:
            return found
    return None


def excess(row: Row, content: SetContent) -> float:
    """Return how much worse than the floor the headline of row is on its worst split; infinite if it is no number."""
    return max(_number(score) for score in content.of(row).values())


def are_level(first: Row, second: Row, content: SetContent) -> bool:
    """Return whether two rows are as good as each other on the main split: one value lies within the interval of the other."""
    one, other = content.main_of(first), content.main_of(second)
    return _holds(one, other.value, content) or _holds(other, one.value, content)


def _holds(score: Score, value: float, content: SetContent) -> bool:
    if score.interval is None:
        return abs(score.value - value) <= content.judge.yardstick.tolerance(score)
    return score.interval[0] <= value <= score.interval[1]


def _number(score: Score) -> float:
    return math.inf if math.isnan(score.excess) else score.excess


def _coverage(winner: Row | None, nothing: Row | None, content: SetContent) -> float:
    if winner is None or nothing is None:
        return math.nan
    whole = content.main_of(nothing).excess
    return (whole - content.main_of(winner).excess) / whole if whole > 0 else math.nan


def _outcome(winner: Row | None, nothing: Row | None, coverage: float, content: SetContent) -> Outcome:
    yardstick = content.judge.yardstick
    if not yardstick.tells(content.main):
        return Outcome.UNCLEAR
    if nothing is not None and yardstick.is_level(content.main_of(nothing)):
        return Outcome.NEEDLESS
    if winner is None:
        return Outcome.UNTRIED
    score = content.main_of(winner)
    if yardstick.is_level(score):
        return Outcome.REACHED
    if yardstick.is_close(score) or coverage >= MOST_OF_THE_WAY:
        return Outcome.CLOSE
    return Outcome.FAILED if coverage < LITTLE_OF_THE_WAY or math.isnan(score.value) else Outcome.PARTIAL


def _is_harmed(row: Row, split: str, content: SetContent, nothing: Row | None) -> bool:
    before = None if nothing is None else content.of(nothing)[split]
    return content.judge.yardstick.is_off(content.of(row)[split], before=before)
