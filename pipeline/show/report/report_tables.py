"""The tables of a report, filled from its content.

They show scores and costs, forecasts, populations, and the quality of the datamodel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.results import tables
from pipeline.results.attribution_content import SplitForecast
from pipeline.results.formatting import duration, in_unit, percent, signed
from pipeline.results.report_content import (
    AttributionContent,
    MethodRow,
    PopulationContent,
    Role,
    SetContent,
    best_of,
    harmed_splits,
)
from pipeline.results.score_tables import SHADE_NOTE, ScoreColumn, counted, score_columns
from pipeline.results.tables import (
    Cell,
    Column,
    Section,
    Table,
    Tone,
    number,
    number_column,
    row_of,
    table_of,
)
from pipeline.show.report.verdict import judge

KINDS = {
    Role.DATAMODEL: "uses the datamodel",
    Role.RIVAL: "no datamodel",
    Role.NOTHING: "does nothing",
    Role.PREDICTOR: "predictor, moves no weights",
    Role.BOUND: "bound, needs true oracles",
}


def key_figures(content: SetContent) -> tuple[tuple[str, str], ...]:
    """Return the key figures of a forget set as pairs (value, description).

    They are the headline of doing nothing, of the best cheap method and of retraining, then the cost of this
    method. What does not exist is left out.
    """
    nothing, winner = best_of(content, Role.NOTHING), judge(content).winner
    before = [] if nothing is None else [(content.shown(nothing), "doing nothing")]
    after = [] if winner is None else [(content.shown(winner), winner.label)]
    cost = [] if winner is None else [(percent(winner.cost.fraction), "of a retraining")]
    return (*before, *after, (in_unit(content.reference, content.main.unit), "retraining"), *cost)


def numbers_table(sets: tuple[SetContent, ...]) -> Table:
    """Return a table of all scores and costs, with a section for each forget set.

    The best cheap method of each set is in bold.
    """
    rows = [scores for content in sets for scores in (content.floor, *(row.scores for row in content.rows))]
    columns = score_columns(sets[0].judges, rows) if sets else []
    costs = [row.cost for content in sets for row in content.rows]
    shares = any(cost.amortised_fraction != cost.fraction for cost in costs)
    sections = tuple(_section(content, number, columns, shares=shares) for number, content in enumerate(sets))
    shared = (
        (number_column("with datamodel", show=percent, group="Cost, of one retraining"),) if shares else ()
    )
    is_harmed = any(
        cell.tone is Tone.BAD for section in sections for row in section.rows for cell in row.cells
    )
    notes = ("Red: worse than doing nothing on points that should stay.",) if is_harmed else ()
    return Table(
        columns=(
            Column("Unlearner"),
            *(column.column for column in columns),
            number_column("request", show=percent, group="Cost, of one retraining"),
            *shared,
        ),
        sections=sections,
        section_heading="Forget set",
        notes=(*notes, SHADE_NOTE),
    )


def judge_notes(sets: tuple[SetContent, ...]) -> list[tuple[str, str]]:
    """Return (label, what the judge measures) for each judge."""
    return [(label, one.note) for label, one in sets[0].judges.items()] if sets else []


def _section(content: SetContent, number: int, columns: Sequence[ScoreColumn], *, shares: bool) -> Section:
    n_points, winner = len(content.forgotten), judge(content).winner
    chosen = "" if content.plugin == content.label else f", chosen by {content.plugin}"
    floor = (column.reference(content.floor) for column in columns)
    label = Cell(value="retraining", under=("the floor",))
    return Section(
        title=content.label,
        note=f"{n_points:,} forgotten point{'' if n_points == 1 else 's'}{chosen}",
        anchor=f"set-{number}",
        rows=(
            row_of(label, *floor, *_costs(1.0, 1.0, shares=shares), tone=Tone.REFERENCE, competes=False),
            *(_row(row, content, columns, shares=shares, is_best=row is winner) for row in content.rows),
        ),
    )


def _costs(request: float, with_share: float, *, shares: bool) -> tuple[float, ...]:
    """Return the cost cells of a row: the request alone and, if shares is true, with its share added.

    shares tells whether any request of the report has a share in a datamodel or needs an oracle.
    """
    return (request, with_share) if shares else (request,)


def _row(
    row: MethodRow, content: SetContent, columns: Sequence[ScoreColumn], *, shares: bool, is_best: bool
) -> tables.Row:
    label = Cell(value=row.label, under=(KINDS[row.role], *counted(row.scores)))
    first, harmed = next(iter(content.judges)), harmed_splits(row, content)
    tones = [
        Tone.BAD if column.label == first and column.split in harmed else Tone.NEUTRAL for column in columns
    ]
    scores = (column.cell(row.scores, tone=tone) for column, tone in zip(columns, tones, strict=True))
    costs = _costs(row.cost.fraction, row.cost.amortised_fraction, shares=shares)
    return row_of(label, *scores, *costs, is_best=is_best)


def forecast_table(splits: Mapping[str, SplitForecast]) -> Table:
    """Return a table of the datamodel's forecast for a forget set, with a row for each split.

    The results of retraining are added if they are known. Columns without any known value are left out.
    """
    columns = (
        Column("Points"),
        number_column("count"),
        number_column("now", show=signed, group="Median margin, nats"),
        number_column("predicted", show=signed, group="Median margin, nats"),
        number_column("retrained", show=signed, group="Median margin, nats"),
        number_column("median", show=signed, group="Change, nats"),
        number_column("largest", show=signed, group="Change, nats"),
        number_column("± standard error", digits=2, group="Change, nats"),
        number_column("clear", show=percent, group="Change, nats", note="above two standard errors"),
        number_column("now", group="Misclassified"),
        number_column("predicted", group="Misclassified"),
        number_column("within", group="As retrained", note="within two standard errors of the prediction"),
    )
    names = {"forget": "forgotten", "retain": "retained", "validation": "validation"}
    rows = (_forecast(names[split], found) for split, found in splits.items() if found.n_points)
    made = table_of(columns, rows)
    has_errors = any(found.share_clear is not None for found in splits.values())
    known = [place for place, column in enumerate(columns) if place < 2 or not _is_unknown(made, place)]
    return table_of(
        [columns[place] for place in known],
        [row_of(*(row.cells[place] for place in known)) for section in made.sections for row in section.rows],
        notes=() if has_errors else ("How sure: not known, since this estimator gives no standard errors.",),
    )


def _is_unknown(made: Table, place: int) -> bool:
    return all(row.cells[place].value is None for section in made.sections for row in section.rows)


def _forecast(name: str, split: SplitForecast) -> tables.Row:
    newly = f"{split.newly_misclassified:,} newly" if split.newly_misclassified else ""
    return row_of(
        name,
        split.n_points,
        split.median_before,
        split.median_after,
        split.median_actual,
        split.median_change,
        split.largest_change,
        split.median_standard_error,
        split.share_clear,
        split.misclassified_before,
        Cell(value=split.misclassified_after, detail=newly),
        split.n_within,
    )


def populations_table(populations: tuple[PopulationContent, ...]) -> Table:
    """Return a table of the models of each population and their cost.

    There is a column of measured times if any are known.
    """
    columns = [
        Column("Population"),
        number_column("Models"),
        number_column("Points kept by each"),
        number_column("Cost in retrainings", digits=0),
    ]
    is_timed = any(one.seconds is not None for one in populations)
    columns += [number_column("Time", show=duration, note="of one core")] if is_timed else []
    rows = []
    for one in populations:
        kept = "all but the forget set" if one.points_kept is None else one.points_kept
        seconds = (one.seconds,) if is_timed else ()
        rows.append(row_of(one.name, one.n_models, kept, one.retrainings, *seconds))
    return table_of(columns, rows)


def attribution_table(content: AttributionContent) -> Table:
    """Return a table of the quality of the datamodel, with one measure in each row."""
    blocks = content.r2_by_block
    ends = f"{number(min(blocks), 2)} to {number(max(blocks), 2)}" if len(blocks) > 1 else ""
    lds = Cell(value="not measured")
    if content.lds is not None:
        low_high = content.lds_interval
        interval = "" if low_high is None else f"({number(low_high[0], 3)} to {number(low_high[1], 3)})"
        lds = Cell(value=number(content.lds, 3), detail=interval)
    r2 = Cell(value="not measured" if content.r2 is None else number(content.r2, 2))
    r2 = replace(r2, detail=f"{ends} from block to block") if ends else r2
    rows = [
        row_of(
            "Estimator", Cell(value=content.estimator, under=(content.penalty,) if content.penalty else ())
        ),
        row_of(
            "Learnt from", f"{content.n_models:,} subset models" if content.n_models else "no subset models"
        ),
        row_of("LDS on held-out models", lds),
        row_of("R² on held-out models", r2),
    ]
    counts = {
        "never vary: left out of LDS": content.n_constant,
        "are predicted not to vary: count as 0": content.n_flat,
    }
    rows += [row_of(f"Margins that {what}", f"{count:,}") for what, count in counts.items() if count]
    return table_of((Column(), Column()), rows)
