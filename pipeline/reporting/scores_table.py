"""The table of all scores on a report: a row for each unlearner below each forget set, and what each judge measures in words."""

from collections.abc import Sequence

from pipeline.reporting.content import Role, Row, SetContent
from pipeline.reporting.formatting import percent
from pipeline.reporting.score_tables import SHADE_NOTE, ScoreColumn, counted, score_columns
from pipeline.reporting.verdict import judge
from pipeline.show.tables import Cell, Section, Table, Tone, numbers, row, words
from pipeline.show.tables import Row as TableRow

KINDS = {
    Role.DATAMODEL: "uses the datamodel",
    Role.RIVAL: "no datamodel",
    Role.NOTHING: "does nothing",
    Role.PREDICTOR: "predictor, moves no weights",
    Role.BOUND: "bound, needs true oracles",
}


def scores_table(sets: Sequence[SetContent]) -> Table:
    """Return the table of every score of every unlearner, beside retraining, with what a request costs."""
    rows = [scores for content in sets for scores in (content.floor, *(row.scores for row in content.rows))]
    columns = score_columns(sets[0].judges, rows) if sets else []
    costs = (
        numbers("request", group="Cost, of one retraining", show=percent),
        numbers("with datamodel", group="Cost, of one retraining", show=percent),
    )
    return Table(
        columns=(words("Unlearner"), *(column.column for column in columns), *costs),
        sections=tuple(_section(content, number, columns) for number, content in enumerate(sets)),
        section_heading="forget set",
        notes=("In small print the interval, the distance to retraining and further statistics.", SHADE_NOTE),
    )


def judge_notes(sets: Sequence[SetContent]) -> list[tuple[str, str]]:
    """Return (label, what the judge measures) for each judge."""
    return [(label, one.note) for label, one in sets[0].judges.items()] if sets else []


def _section(content: SetContent, number: int, columns: Sequence[ScoreColumn]) -> Section:
    winner, n_points = judge(content).winner, len(content.ids)
    chosen = "" if content.plugin == content.label else f", chosen by {content.plugin}"
    retraining = row(
        Cell(value="retraining", under=("the floor",)),
        *(column.reference(content.floor) for column in columns),
        1.0,
        1.0,
        tone=Tone.REFERENCE,
        competes=False,
    )
    return Section(
        title=content.label,
        note=f"{n_points} forgotten point{'' if n_points == 1 else 's'}{chosen}",
        anchor=f"set-{number}",
        rows=(retraining, *(_row(one, columns, is_best=one is winner) for one in content.rows)),
    )


def _row(one: Row, columns: Sequence[ScoreColumn], *, is_best: bool) -> TableRow:
    method = Cell(value=one.label, under=(KINDS[one.role], *counted(one.scores)))
    scores = (column.cell(one.scores) for column in columns)
    return row(method, *scores, one.cost.fraction, one.cost.amortised_fraction, is_best=is_best)
