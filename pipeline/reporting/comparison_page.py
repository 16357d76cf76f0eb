"""The page that compares experiments: one HTML file that needs nothing beside it, as a report. Equal comparisons give equal bytes."""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.reporting import formatting
from pipeline.reporting.comparison_content import ComparedSet, Comparison, Entry, Method
from pipeline.reporting.comparison_figure import comparison_figure
from pipeline.reporting.comparison_words import headline, lead_label, nearest, set_sentence
from pipeline.reporting.cost_figure import CEILING
from pipeline.reporting.page import KINDS, SHADES, Klom, shade, templates
from pipeline.reporting.theme import svg


@dataclass(frozen=True)
class Cells:
    """What the table shows of one method in one experiment: KLoM, validation accuracy with its difference to the oracles', and the costs."""

    klom: Klom
    accuracy: str
    difference: str
    cost: str
    amortised: str
    n_nonfinite: int = 0


@dataclass(frozen=True)
class Line:
    """One line of a table; None where an experiment lacks the method."""

    label: str
    kind: str
    is_lead: bool
    cells: tuple[Cells | None, ...]


@dataclass(frozen=True)
class Section:
    """What the page shows of one forget set."""

    content: ComparedSet
    anchor: str
    title: str
    measures: tuple[tuple[str, str], ...]
    sentence: str
    lines: tuple[Line, ...]


def render_comparison(comparison: Comparison) -> str:
    """Return the comparison as HTML: in words first, then the figure, the tables, and the settings that differ."""
    lead = lead_label(comparison)
    return (
        templates()
        .get_template("comparison.html.j2")
        .render(
            comparison=comparison,
            headline=headline(comparison),
            sections=[_section(one, number, comparison, lead) for number, one in enumerate(comparison.sets)],
            figure=Markup(svg(comparison_figure(comparison), f"P95 KLoM on the forgotten points, {' and '.join(comparison.names)} side by side")),
            ceiling=CEILING,
            shades=SHADES,
        )
    )


def _section(one: ComparedSet, number: int, comparison: Comparison, lead: str | None) -> Section:
    title, measures = "No method to follow", []
    for method in (method for method in one.methods if method.label == lead):
        where = nearest(one, method.label, comparison.names)
        title = f"{method.label} is about as near in both" if len(comparison.names) == 2 else f"{method.label} is about as near in the nearest two"
        title = title if where is None else f"{method.label} is nearest in {where}" if len(comparison.names) > 2 else f"{method.label} is nearer in {where}"
        for name, entry, floor in zip(comparison.names, method.entries, one.floor, strict=True):
            if entry is not None:
                times = formatting.times_floor(entry.p95, floor)
                measures.append((formatting.nats(entry.p95), f"{name}, {times} floor" if times else name))
    return Section(one, f"set-{number}", title, tuple(measures), set_sentence(one, comparison.names), _lines(one, lead))


def _lines(one: ComparedSet, lead: str | None) -> tuple[Line, ...]:
    whole = formatting.percent(1.0)
    floors = tuple(
        Cells(Klom(formatting.nats(floor), "", "", 0), formatting.percent(accuracy), "", whole, whole)
        for floor, accuracy in zip(one.floor, one.oracle_accuracy, strict=True)
    )
    return (Line("retraining", "the floor", is_lead=False, cells=floors), *(_line(method, one, is_lead=method.label == lead) for method in one.methods))


def _line(method: Method, one: ComparedSet, *, is_lead: bool) -> Line:
    cells = tuple(
        None if entry is None else _cells(entry, floor, accuracy) for entry, floor, accuracy in zip(method.entries, one.floor, one.oracle_accuracy, strict=True)
    )
    plugins = list(dict.fromkeys(entry.plugin for entry in method.entries if entry is not None))
    kind = KINDS[method.role] + (f"; not one method: {', '.join(plugins)}" if len(plugins) > 1 else "")
    return Line(method.label, kind, is_lead=is_lead, cells=cells)


def _cells(entry: Entry, floor: float, oracle_accuracy: float) -> Cells:
    times = formatting.times_floor(entry.p95, floor)
    return Cells(
        klom=Klom(formatting.nats(entry.p95), formatting.span(entry.interval), f"{times} floor" if times else "", shade(entry.p95, floor)),
        accuracy=formatting.percent(entry.accuracy),
        difference=formatting.points(entry.accuracy - oracle_accuracy),
        cost=formatting.percent(entry.fraction),
        amortised=formatting.percent(entry.amortised_fraction),
        n_nonfinite=entry.n_nonfinite,
    )
