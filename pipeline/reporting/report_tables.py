"""The tables of a report, filled from its content: all numbers, forecasts, populations and the datamodel's score."""

from collections.abc import Mapping
from dataclasses import replace

from pipeline.reporting.attribution_content import SplitForecast
from pipeline.reporting.content import (
    SPLITS,
    AttributionContent,
    PopulationContent,
    Role,
    Row,
    SetContent,
    best_of,
    harmed_splits,
)
from pipeline.reporting.formatting import duration, nats, percent, points, signed, times_floor
from pipeline.reporting.verdict import judge
from pipeline.show import tables
from pipeline.show.results import nonfinite_note, shade
from pipeline.show.tables import Cell, Section, Table, Tone, number, number_column, row_of, table_of, word_column

KINDS = {
    Role.DATAMODEL: "uses the datamodel",
    Role.RIVAL: "no datamodel",
    Role.NOTHING: "does nothing",
    Role.PREDICTOR: "predictor, moves no weights",
    Role.BOUND: "bound, needs true oracles",
}


def key_figures(content: SetContent) -> tuple[tuple[str, str], ...]:
    """Return (value, what it is): P95 KLoM on the forgotten points of doing nothing, the winner and retraining; its cost."""
    nothing, winner = best_of(content, Role.NOTHING), judge(content).winner
    before = [] if nothing is None else [(nats(nothing.p95["forget"]), "doing nothing")]
    after = [] if winner is None else [(nats(winner.p95["forget"]), winner.label)]
    cost = [] if winner is None else [(percent(winner.cost.fraction), "of a retraining")]
    return (*before, *after, (nats(content.floor["forget"]), "retraining"), *cost)


def numbers_table(sets: tuple[SetContent, ...]) -> Table:
    """Return every number of a report, a section for each forget set; the best cheap method is in bold."""
    columns = (
        word_column("Unlearner"),
        *(number_column(split, show=nats, group="P95 KLoM, nats", better="lower") for split in SPLITS),
        *(number_column(split, show=percent, group="Accuracy") for split in SPLITS),
        number_column("request", show=percent, group="Cost, of one retraining"),
        number_column("with datamodel", show=percent, group="Cost, of one retraining"),
    )
    sections = tuple(_section(content, number) for number, content in enumerate(sets))
    is_harmed = any(cell.tone is Tone.BAD for section in sections for row in section.rows for cell in row.cells)
    notes = ("Red: worse than doing nothing on points that should stay.",) if is_harmed else ()
    return Table(columns=columns, sections=sections, section_heading="Forget set", notes=notes)


def _section(content: SetContent, number: int) -> Section:
    n_points, winner = len(content.ids), judge(content).winner
    chosen = "" if content.plugin == content.label else f", chosen by {content.plugin}"
    return Section(
        title=content.label,
        note=f"{n_points:,} forgotten point{'' if n_points == 1 else 's'}{chosen}",
        anchor=f"set-{number}",
        rows=(_floor(content), *(_row(row, content, is_best=row is winner) for row in content.rows)),
    )


def _floor(content: SetContent) -> tables.Row:
    klom = (Cell(value=content.floor[one], under=(f"mean {nats(content.floor_mean[one])}",)) for one in SPLITS)
    accuracy = (content.oracle_accuracy[split] for split in SPLITS)
    label = Cell(value="retraining", under=("the floor",))
    return row_of(label, *klom, *accuracy, 1.0, 1.0, tone=Tone.REFERENCE, competes=False)


def _row(row: Row, content: SetContent, *, is_best: bool) -> tables.Row:
    label = Cell(value=row.label, under=(KINDS[row.role], *nonfinite_note(row.n_nonfinite)))
    harmed = harmed_splits(row, content)
    klom = (_klom(row, split, content.floor[split], is_harmed=split in harmed) for split in SPLITS)
    accuracy = (Cell(value=row.accuracy[split], under=(points(row.accuracy[split] - content.oracle_accuracy[split]),)) for split in SPLITS)
    return row_of(label, *klom, *accuracy, row.cost.fraction, row.cost.amortised_fraction, is_best=is_best)


def _klom(row: Row, split: str, floor: float, *, is_harmed: bool) -> Cell:
    value, times = row.p95[split], times_floor(row.p95[split], floor)
    under = f"mean {nats(row.mean[split])}" + (f" · {times} floor" if times else "")
    tone = Tone.BAD if is_harmed else Tone.NEUTRAL
    return Cell(value=value, interval=row.interval[split], under=(under,), shade=shade(value, floor), tone=tone)


def forecast_table(splits: Mapping[str, SplitForecast]) -> Table:
    """Return what a datamodel predicted of removing a set, by split, and what retraining came to if that is known.

    Columns of which nothing is known are left out.
    """
    columns = (
        word_column("Points"),
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
    """Return what each population took."""
    columns = (
        word_column("Population"),
        number_column("Models"),
        number_column("Points kept by each"),
        number_column("Cost in retrainings", digits=0),
        number_column("Time", show=duration),
    )
    return table_of(
        columns,
        (row_of(one.role, one.n_models, one.points_kept, one.retrainings, one.seconds) for one in populations),
    )


def attribution_table(content: AttributionContent) -> Table:
    """Return how good the datamodel is, a measure in each row; what was not measured is said to be so."""
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
        row_of("Estimator", Cell(value=content.estimator, under=(content.penalty,) if content.penalty else ())),
        row_of("Learnt from", f"{content.n_models:,} subset models" if content.n_models else "no subset models"),
        row_of("LDS on held-out models", lds),
        row_of("R² on held-out models", r2),
    ]
    counts = {"never vary: left out of LDS": content.n_constant, "are predicted not to vary: count as 0": content.n_flat}
    rows += [row_of(f"Margins that {what}", f"{count:,}") for what, count in counts.items() if count]
    return table_of((word_column(), word_column()), rows)
