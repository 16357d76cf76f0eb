"""What the numbers of one forget set allow to say, before it is put into words.

The best method is the one whose worst split is nearest the floor, so none wins by forgetting well and ruining the rest.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.reporting.content import SPLITS, Numbers, Role, Row, SetContent
from pipeline.show.results import is_at_floor

# From this floor on (nats; N = 30 models a side) doing nothing and retraining can hardly be told apart.
BLIND_FLOOR = 3.0
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

    coverage is the share of the way from doing nothing to the floor that the winner covers on the forget set, NaN if that cannot be said.
    costly beats the winner but costs half a retraining or more; harmed lists every (row, split) of retain and validation that unlearning
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
    of_role = {role: tuple(row for row in content.rows if row.role == role) for role in Role}
    nothing = best(of_role[Role.NOTHING], content)
    datamodel = best((row for row in of_role[Role.DATAMODEL] if row.cost.fraction < CHEAP), content)
    rival = best((row for row in of_role[Role.RIVAL] if row.cost.fraction < CHEAP), content)
    winner = best((row for row in (datamodel, rival) if row is not None), content)
    costly = best((row for row in of_role[Role.DATAMODEL] + of_role[Role.RIVAL] if row.cost.fraction >= CHEAP), content)
    beaten = costly is not None and (winner is None or excess(costly, content) < excess(winner, content))
    harmed = tuple((row, split) for row in content.rows for split in SPLITS[1:] if _is_harmed(row, split, content.floor, nothing))
    off = () if winner is None else tuple(split for split in SPLITS[1:] if _is_off(winner.p95[split], content.floor[split]))
    coverage = _coverage(winner, nothing, content.floor["forget"])
    return Finding(
        outcome=_outcome(winner, nothing, coverage, content.floor["forget"]),
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
    """Return how far, in nats, the P95 KLoM of row lies above the floor on its worst split; infinite if it is no number."""
    values = [row.p95[split] - content.floor[split] for split in SPLITS]
    return max(math.inf if math.isnan(value) else value for value in values)


def are_level(first: Row, second: Row) -> bool:
    """Say whether two rows are as good as each other on the forget set: the P95 of one lies within the interval of the other."""
    return any(low <= other.p95["forget"] <= high for other, (low, high) in ((first, second.interval["forget"]), (second, first.interval["forget"])))


def _coverage(winner: Row | None, nothing: Row | None, floor: float) -> float:
    if winner is None or nothing is None or not nothing.p95["forget"] > floor:
        return math.nan
    return (nothing.p95["forget"] - winner.p95["forget"]) / (nothing.p95["forget"] - floor)


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


def _is_off(value: float, floor: float) -> bool:
    return not value <= floor + max(floor, 0.5)


def _is_harmed(row: Row, split: str, floor: Numbers, nothing: Row | None) -> bool:
    before = floor[split] if nothing is None else max(floor[split], nothing.p95[split])
    return _is_off(row.p95[split], before)
