"""Scores as columns and cells of the table model, for pages, terminals, comparisons and MLflow's notes.

Columns follow from the scores themselves, so a judge from outside the package needs no line here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores
from pipeline.results.formatting import in_unit, points, span_in_unit, times_floor, unit_suffix
from pipeline.results.tables import (
    DARKEST,
    Cell,
    Column,
    Section,
    Table,
    Tone,
    number_column,
    row_of,
)

# A cell is one shade darker for each of these limits that its score exceeds. A limit is a distance from the
# reference, as a multiple of the largest distance that retraining alone makes.
SHADES = (1, 3, 8, 18)
SHADE_NOTE = (
    "Shades: further from retraining than independent retrainings are from each other, the darkest 18 times "
    "as far."
)


@dataclass(frozen=True, kw_only=True)
class ScoreColumn:
    """The table column of one statistic of a judge on one split.

    label is that of the judge. others are the judge's other statistics, which stand in small print below the
    value. column is the same column in the table model.
    """

    label: str
    judge: Judge
    statistic: str
    split: str
    others: tuple[str, ...]
    column: Column

    def score(self, scores: Mapping[str, Scores]) -> Score | None:
        """Return the score that belongs in this column, from a row's scores by judge; None without one."""
        return scores[self.label].get(self.statistic, self.split) if self.label in scores else None

    def cell(self, scores: Mapping[str, Scores], *, tone: Tone = Tone.NEUTRAL) -> Cell:
        """Return the cell of a row.

        Below the value stand its interval, its distance to the reference and further statistics.
        """
        return full_cell(self.score(scores), self.judge, self._others(scores), tone=tone)

    def short_cell(self, scores: Mapping[str, Scores]) -> Cell:
        """Return the cell of a row with only the value and the reference in brackets."""
        score = self.score(scores)
        return Cell() if score is None else short_cell(score, self.judge)

    def reference(self, floor: Mapping[str, Scores]) -> Cell:
        """Return the cell of retraining, from the scores of a second group of retrained models."""
        score, others = self.score(floor), tuple(self._others(floor, of_floor=True))
        return Cell(value=None if score is None else score.of_retraining, under=others)

    def _others(self, scores: Mapping[str, Scores], *, of_floor: bool = False) -> list[str]:
        if self.label not in scores:
            return []
        found = [(name, scores[self.label].get(name, self.split)) for name in self.others]
        return [
            f"{self.judge.title(name)} "
            f"{in_unit(score.of_retraining if of_floor else score.value, score.unit)}"
            for name, score in found
            if score is not None
        ]


def score_columns(judges: Mapping[str, Judge], rows: Iterable[Mapping[str, Scores]]) -> list[ScoreColumn]:
    """Return a column for each split of every judge in the rows, in the order of the judges."""
    found: dict[tuple[str, str], Scores] = {}
    for scores in rows:
        for label, of_judge in scores.items():
            for row in of_judge:
                found.setdefault((label, row.split), of_judge)
    titles = {label: judges[label].title(scores.headline) for (label, _), scores in found.items()}
    alike = {label for label, title in titles.items() if list(titles.values()).count(title) > 1}
    places = [(label, split) for label in judges for of, split in found if of == label]
    return [
        _column(label, split, judges[label], found[label, split], is_named=label in alike)
        for label, split in places
    ]


def _column(label: str, split: str, judge: Judge, scores: Scores, *, is_named: bool) -> ScoreColumn:
    """Return the column of a split; is_named adds the label of the judge to the title.

    This is needed if another judge has the same title.
    """
    score = scores.rows[0]
    title = judge.title(score.statistic)
    named = f"{title} ({label})" if is_named else title
    return ScoreColumn(
        label=label,
        judge=judge,
        statistic=score.statistic,
        split=split,
        others=tuple(name for name in scores.statistics if name != scores.headline),
        column=number_column(
            split,
            group=f"{named}{unit_suffix(score.unit)}",
            show=partial(in_unit, unit=score.unit),
            better=score.better,
        ),
    )


def distance(score: Score, judge: Judge) -> str:
    """Return as text how far a score is from its reference; empty without a reference.

    The distance is a multiple of the floor if lower scores are better and the judge gives the change that
    retraining alone makes as a share of the floor. Otherwise it is a difference with its sign.
    """
    if score.reference is None:
        return ""
    if score.better == "lower" and judge.yardstick.share:
        times = times_floor(score.value, score.reference)
        return f"{times} floor" if times else ""
    if score.unit == "fraction":
        return f"{points(score.value - score.reference)} points"
    difference = score.value - score.reference
    return f"{'+' if difference >= 0 else '−'}{in_unit(abs(difference), score.unit)}"


def full_cell(score: Score | None, judge: Judge, more: Sequence[str], *, tone: Tone = Tone.NEUTRAL) -> Cell:
    """Return the cell of a score; in small print below are interval, distance, and the texts of more."""
    if score is None:
        return Cell(under=tuple(more))
    # The interval stands below: beside the value it would make the tables of several judges too wide.
    interval = "" if score.interval is None else span_in_unit(score.interval, score.unit)
    under = tuple(part for part in (interval, distance(score, judge), *more) if part)
    return Cell(value=score.value, under=under, shade=shade(score, judge), tone=tone)


def short_cell(score: Score, judge: Judge) -> Cell:
    """Return the cell of a score with its reference in brackets.

    A score that cannot be told from its reference has the tone GOOD.
    """
    is_level = score.reference is not None and judge.yardstick.is_level(score)
    tone = Tone.GOOD if is_level else Tone.NEUTRAL
    return Cell(value=score.value, reference=score.reference, shade=shade(score, judge), tone=tone)


def shade(score: Score, judge: Judge) -> int:
    """Return how dark the cell of a score is, from 0 to 4; a score that is not a number is darkest.

    The shade is 0 if the score cannot be told from its reference, or if the judge has no `yardstick.noise`.
    """
    if score.excess != score.excess:
        return DARKEST
    if judge.yardstick.is_level(score) or not judge.yardstick.noise:
        return 0
    return sum(score.excess > times * judge.yardstick.tolerance(score) for times in SHADES)


def counted(scores: Mapping[str, Scores]) -> list[str]:
    """Return the counts of all judges as texts, such as `⚠ 3 outputs not finite`.

    Only this count is marked as a warning; others have the name that the judge gives. If several judges give
    a count of the same name, the largest is shown. Counts of 0 are left out.
    """
    found: dict[str, int] = {}
    for of_judge in scores.values():
        for name, count in of_judge.counts.items():
            found[name] = max(found.get(name, 0), int(count))
    words = {name: "outputs not finite" if name == NONFINITE else name.replace("_", " ") for name in found}
    return [
        f"{'⚠ ' if name == NONFINITE else ''}{count:,} {words[name]}"
        for name, count in found.items()
        if count
    ]


def every_score(judges: Mapping[str, Judge], scores: Mapping[str, Sequence[Score]]) -> Table:
    """Return a table of all scores of one method.

    There is a section for each judge, a row for each statistic, and a column for each split.
    """
    splits = list(dict.fromkeys(score.split for of_judge in scores.values() for score in of_judge))
    sections = []
    for label, of_judge in scores.items():
        by_place = {(score.statistic, score.split): score for score in of_judge}
        rows = [
            row_of(
                judges[label].title(statistic),
                *(_written(by_place.get((statistic, split))) for split in splits),
            )
            for statistic in dict.fromkeys(score.statistic for score in of_judge)
        ]
        sections.append(Section(title=label, rows=tuple(rows)))
    columns = (Column("score"), *(Column(split) for split in splits))
    notes = ("In brackets: the score of independent retrained models.",)
    return Table(columns=columns, sections=tuple(sections), section_heading="judge", notes=notes)


def _written(score: Score | None) -> Cell:
    """Return a cell that states the unit of its score, because the scores of a column have several units."""
    if score is None:
        return Cell()
    reference = "" if score.reference is None else f"({in_unit(score.reference, score.unit)})"
    return Cell(value=in_unit(score.value, score.unit, is_named=True), detail=reference)
