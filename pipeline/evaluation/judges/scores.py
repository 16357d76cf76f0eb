"""The result of a judge: one row for each statistic and split, values for each point, and counts.

Code that shows results iterates over these rows. No code outside a judge knows the names of its statistics.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pipeline.core.errors import DataError, ShapeError

SPLITS = ("forget", "retain", "validation")

# The column of point ids in a table of scores; no judge may use this name.
POINT = "point"
# The name of the count of outputs that are not finite, one for each model and point. It leads to a warning.
NONFINITE = "nonfinite"

Better = Literal["lower", "higher", "nearer"]
_Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One statistic on one split.

    reference is the value of retrained models; if a judge leaves it out, it is the value of the floor
    population. better says which values are good: `lower`, `higher`, or `nearer` to the reference. unit is
    `nats`, `fraction` (shown in percent), any other word, or empty.
    """

    statistic: str
    split: str
    value: float
    interval: _Interval | None = None
    reference: float | None = None
    better: Better = "lower"
    unit: str = ""

    @property
    def excess(self) -> float:
        """The amount by which the value is worse than the reference, in its unit; 0 without a reference."""
        if self.reference is None:
            return 0.0
        difference = self.value - self.reference
        return {"lower": difference, "higher": -difference, "nearer": abs(difference)}[self.better]

    @property
    def of_retraining(self) -> float:
        """The value of retrained models: the reference if there is one, else the value itself.

        A row of the floor population may have no reference; its value is that of retrained models.
        """
        return self.value if self.reference is None else self.reference

    def to_json(self) -> dict[str, Any]:
        """Return the row, JSON-ready."""
        reference = None if self.reference is None else float(self.reference)
        interval = None if self.interval is None else [float(end) for end in self.interval]
        return dataclasses.asdict(self) | {
            "value": float(self.value),
            "interval": interval,
            "reference": reference,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Score":
        """Return the row that to_json wrote."""
        interval = row["interval"]
        return cls(**{**row, "interval": None if interval is None else (interval[0], interval[1])})


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """All scores of a judge.

    The statistic of the first row is the headline, which figures and selections use where they show or
    compare a single statistic. points maps names to arrays (n_points,) with one value for each point, NaN if
    the point was not judged; figures show the first array. counts maps names, such as NONFINITE, to whole
    numbers.
    """

    rows: tuple[Score, ...]
    points: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The statistic of the first row, which stands for all statistics."""
        return self.rows[0].statistic

    @property
    def statistics(self) -> tuple[str, ...]:
        """The names of the statistics, in order."""
        return tuple(dict.fromkeys(row.statistic for row in self.rows))

    def of(self, statistic: str) -> dict[str, Score]:
        """Return the rows of a statistic by split."""
        return {row.split: row for row in self.rows if row.statistic == statistic}

    def get(self, statistic: str, split: str) -> Score | None:
        """Return one row, or None if the judge returned none."""
        return self.of(statistic).get(split)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.rows)

    def with_references(self, floor: "Scores | None") -> "Scores":
        """Return the same scores; rows without a reference get the value of the floor."""
        known = {} if floor is None else {(row.statistic, row.split): row.value for row in floor.rows}
        rows = [
            row
            if row.reference is not None
            else dataclasses.replace(row, reference=known.get((row.statistic, row.split)))
            for row in self.rows
        ]
        return dataclasses.replace(self, rows=tuple(rows))

    def to_json(self) -> dict[str, Any]:
        """Return rows and counts, JSON-ready.

        The values of points are left out, because the store keeps them as columns of a table.
        """
        return {
            "rows": [row.to_json() for row in self.rows],
            "counts": {name: int(count) for name, count in self.counts.items()},
        }

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> "Scores":
        """Return the rows and counts that to_json wrote, without points."""
        return cls(rows=tuple(Score.from_json(row) for row in about["rows"]), counts=dict(about["counts"]))


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """Limits for the difference to the reference, in the unit of a judge's scores.

    Differences from the reference up to max(noise, share × reference) also arise from retraining alone.
    blind: from this reference on, methods cannot be distinguished; None if they always can. worst: the worst
    possible value, or None. by_interval: if true, a value is also not distinguished from the reference if its
    interval contains the reference.
    """

    noise: float
    share: float = 0.0
    blind: float | None = None
    worst: float | None = None
    by_interval: bool = False

    def tolerance(self, score: Score) -> float:
        """Return the largest difference from the reference that retraining alone can make."""
        return max(self.share * abs(score.reference or 0.0), self.noise)

    def is_level(self, score: Score) -> bool:
        """Return whether the value cannot be distinguished from the reference."""
        if self.by_interval and score.interval is not None and score.reference is not None:
            low, high = score.interval
            if low <= score.reference <= high:
                return True
        return score.excess <= self.tolerance(score)

    def is_close(self, score: Score) -> bool:
        """Return whether the value is close to the reference, even if it can be distinguished from it."""
        return score.excess <= max(4 * self.share * abs(score.reference or 0.0), 5 * self.noise)

    def is_off(self, score: Score, *, before: Score | None = None) -> bool:
        """Return whether the value is clearly worse than the reference and than before, if before is given.

        before is the score of the models without unlearning.
        """
        base = 0.0 if before is None else max(before.excess, 0.0)
        level = abs(score.reference or 0.0) + base
        return not score.excess - base <= max(2 * self.share * level, 5 * self.noise)

    def tells(self, score: Score) -> bool:
        """Return whether retrained models agree well enough to distinguish methods."""
        return self.blind is None or (score.reference is not None and score.reference < self.blind)


def check_scores(scores: Scores, n_points: int) -> None:
    """Raise DataError or ShapeError unless the scores are well-formed."""
    _check_rows(scores.rows)
    for name, values in scores.points.items():
        if not (isinstance(name, str) and name.isidentifier()) or name == POINT:
            raise DataError(
                f"a column of points is called {name!r}; expected letters, digits and `_`, not {POINT!r}"
            )
        if (
            not isinstance(values, np.ndarray)
            or values.shape != (n_points,)
            or values.dtype.kind not in "biuf"
        ):
            found = getattr(values, "shape", type(values).__name__)
            raise ShapeError(
                f"points[{name!r}] is {found}; expected an array of one number for each of {n_points} points"
            )
    for name, count in scores.counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise DataError(f"counts[{name!r}] is {count!r}; expected a whole number, 0 or more")


def _check_rows(rows: Sequence[Score]) -> None:
    if not rows:
        raise DataError("there are no rows; give at least one Score; the first is the headline")
    places = [(row.statistic, row.split) for row in rows]
    twice = [place for place in dict.fromkeys(places) if places.count(place) > 1]
    if twice:
        raise DataError(
            f"statistic {twice[0][0]!r} on {twice[0][1]!r} appears {places.count(twice[0])} times; give "
            "it once"
        )
    for row in rows:
        if not (isinstance(row.statistic, str) and row.statistic.isidentifier()):
            raise DataError(
                f"a statistic is called {row.statistic!r}; expected a name of letters, digits and `_`"
            )
        if row.split not in SPLITS:
            raise DataError(
                f"statistic {row.statistic!r} is of split {row.split!r}; expected one of {', '.join(SPLITS)}"
            )
        if row.better not in ("lower", "higher", "nearer"):
            raise DataError(
                f"statistic {row.statistic!r}: better is {row.better!r}; expected lower, higher or nearer"
            )
        numbers = [row.value, *(row.interval or ()), *([] if row.reference is None else [row.reference])]
        if not all(
            isinstance(number, float | int | np.floating) and math.isfinite(number) for number in numbers
        ):
            raise DataError(
                f"statistic {row.statistic!r} on {row.split!r} holds {numbers}; expected finite ones: give "
                "the worst value for models that are not finite, and say in `counts` how many there are"
            )
