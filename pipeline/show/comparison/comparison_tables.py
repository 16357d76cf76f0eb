"""The tables of a comparison, filled from its content.

They show the headline of every judge and the cost of a request in each experiment, and the settings that
differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import Score, Scores
from pipeline.results.comparison_content import ComparedSet, Comparison, Entry, Method
from pipeline.results.formatting import in_unit, percent
from pipeline.results.score_tables import SHADE_NOTE, counted, full_cell, short_cell
from pipeline.results.tables import (
    Cell,
    Column,
    Row,
    Section,
    Table,
    Tone,
    number_column,
    row_of,
    table_of,
)
from pipeline.show.report.report_tables import KINDS


def compared_table(comparison: Comparison, lead: str | None) -> Table:
    """Return a table of every number of a comparison.

    lead is the label of the method that the words are about; its rows are bold.
    """
    return Table(
        columns=(
            Column("Unlearner"),
            *(column for name in comparison.names for column in _columns(comparison, name)),
        ),
        sections=tuple(_section(one, number, comparison, lead) for number, one in enumerate(comparison.sets)),
        section_heading="Forget set",
        notes=(
            "In small print the interval, the distance to retraining and the other splits; below a cost "
            "that with the datamodel's share.",
            SHADE_NOTE,
        ),
    )


def settings_table(comparison: Comparison) -> Table:
    """Return the settings that differ, with their value in each experiment."""
    columns = (Column("Setting"), *(Column(name) for name in comparison.names))
    return table_of(columns, (row_of(setting, *values) for setting, values in comparison.differences))


def headline_table(comparison: Comparison) -> Table:
    """Return a table of the headline of every method in every experiment, for a terminal.

    The score of retraining stands in brackets.
    """
    floor, show = comparison.floor, partial(in_unit, unit=comparison.floor.unit)
    sections = [
        Section(
            title=one.label,
            rows=tuple(
                row_of(method.label, *(_short(entry, comparison) for entry in method.entries))
                for method in one.methods
            ),
        )
        for one in comparison.sets
    ]
    return Table(
        columns=(Column("unlearner"), *(number_column(name, show=show) for name in comparison.names)),
        sections=tuple(sections),
        caption=(
            f"{comparison.title}, "
            f"{floor.split}{f', in {floor.unit}' if floor.unit not in ('', 'fraction') else ''}"
        ),
        section_heading="forget set",
        notes=("In brackets: the score of independent oracles of the same experiment (its floor).",),
    )


def _short(entry: Entry | None, comparison: Comparison) -> Cell:
    return Cell() if entry is None else short_cell(entry.main, comparison.judge)


def _columns(comparison: Comparison, name: str) -> Iterator[Column]:
    for label, judge in comparison.judges.items():
        first = comparison.sets[0].floor[0][label].rows[0]
        title, show = f"{judge.title(first.statistic)}, {first.split}", partial(in_unit, unit=first.unit)
        yield number_column(title, group=name, show=show, better=first.better)
    yield number_column("cost", group=name, show=percent)


def _section(one: ComparedSet, number: int, comparison: Comparison, lead: str | None) -> Section:
    judges = comparison.judges
    floors = [
        value for floor in one.floor for value in (*(floor[of].rows[0].of_retraining for of in judges), 1.0)
    ]
    retraining = row_of(
        Cell(value="retraining", under=("the floor",)), *floors, tone=Tone.REFERENCE, competes=False
    )
    return Section(
        title=one.label,
        note=f"{'the same' if one.same_points else 'not the same'} forgotten points in all",
        anchor=f"set-{number}",
        rows=(
            retraining,
            *(_line(method, comparison, is_lead=method.label == lead) for method in one.methods),
        ),
    )


def _line(method: Method, comparison: Comparison, *, is_lead: bool) -> Row:
    plugins = list(dict.fromkeys(entry.plugin for entry in method.entries if entry is not None))
    kind = KINDS[method.role] + (f"; not one method: {', '.join(plugins)}" if len(plugins) > 1 else "")
    cells = [cell for entry in method.entries for cell in _entry(entry, comparison.judges)]
    return row_of(Cell(value=method.label, under=(kind,)), *cells, is_best=is_lead)


def _entry(entry: Entry | None, judges: Mapping[str, Judge]) -> Iterator[Cell]:
    if entry is None:
        yield from (Cell() for _ in (*judges, "cost"))
        return
    warnings = counted(entry.scores)
    for place, (label, judge) in enumerate(judges.items()):
        yield _score(entry.scores.get(label), judge, warnings if place == 0 else [])
    amortised = percent(entry.amortised_fraction)
    yield Cell(value=entry.fraction, under=() if amortised == percent(entry.fraction) else (amortised,))


def _score(scores: Scores | None, judge: Judge, warnings: Sequence[str]) -> Cell:
    """Return a cell of the headline on the split that matters most, with the other splits in small print."""
    if scores is None:
        return Cell()
    first, *others = scores.of(scores.headline).values()
    return full_cell(first, judge, [*(_of_split(score) for score in others), *warnings])


def _of_split(score: Score) -> str:
    return f"{score.split} {in_unit(score.value, score.unit)}"
