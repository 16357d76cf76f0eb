"""The tables of a comparison, filled from its content: all numbers, and the settings that differ."""

from pipeline.reporting.comparison_content import ComparedSet, Comparison, Entry, Method
from pipeline.reporting.formatting import nats, percent, points, times_floor
from pipeline.reporting.report_tables import KINDS
from pipeline.show.results import nonfinite_note, shade
from pipeline.show.tables import Cell, Row, Section, Table, Tone, number_column, row_of, table_of, word_column


def compared_table(comparison: Comparison, lead: str | None) -> Table:
    """Return every number of a comparison; the row of the lead method is in bold."""
    columns = [word_column("Unlearner")]
    for name in comparison.names:
        columns += [
            number_column("P95 KLoM", show=nats, group=name, unit="nats", better="lower"),
            number_column("validation", show=percent, group=name),
            number_column("cost", show=percent, group=name),
        ]
    sections = tuple(_section(one, number, lead) for number, one in enumerate(comparison.sets))
    return Table(columns=tuple(columns), sections=sections, section_heading="Forget set")


def settings_table(comparison: Comparison) -> Table:
    """Return the settings that differ, with their value in each experiment."""
    columns = (word_column("Setting"), *(word_column(name) for name in comparison.names))
    return table_of(columns, (row_of(setting, *values) for setting, values in comparison.differences))


def _section(one: ComparedSet, number: int, lead: str | None) -> Section:
    floors = (
        cell for floor, accuracy in zip(one.floor, one.oracle_accuracy, strict=True) for cell in (Cell(value=floor), Cell(value=accuracy), Cell(value=1.0))
    )
    label = Cell(value="retraining", under=("the floor",))
    return Section(
        title=one.label,
        note=f"{'the same' if one.same_points else 'not the same'} forgotten points in all",
        anchor=f"set-{number}",
        rows=(
            row_of(label, *floors, tone=Tone.REFERENCE, competes=False),
            *(_row(method, one, is_lead=method.label == lead) for method in one.methods),
        ),
    )


def _row(method: Method, one: ComparedSet, *, is_lead: bool) -> Row:
    plugins = list(dict.fromkeys(entry.plugin for entry in method.entries if entry is not None))
    kind = KINDS[method.role] + (f"; not one method: {', '.join(plugins)}" if len(plugins) > 1 else "")
    triples = zip(method.entries, one.floor, one.oracle_accuracy, strict=True)
    cells = (cell for triple in triples for cell in _cells(*triple))
    return row_of(Cell(value=method.label, under=(kind,)), *cells, is_best=is_lead)


def _cells(entry: Entry | None, floor: float, oracle_accuracy: float) -> tuple[Cell, Cell, Cell]:
    if entry is None:
        return Cell(), Cell(), Cell()
    times = times_floor(entry.p95, floor)
    under = ((f"{times} floor",) if times else ()) + nonfinite_note(entry.n_nonfinite)
    amortised = percent(entry.amortised_fraction)
    return (
        Cell(value=entry.p95, interval=entry.interval, under=under, shade=shade(entry.p95, floor)),
        Cell(value=entry.accuracy, under=(points(entry.accuracy - oracle_accuracy),)),
        Cell(value=entry.fraction, under=() if amortised == percent(entry.fraction) else (amortised,)),
    )
