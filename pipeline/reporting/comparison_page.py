"""The page that compares experiments: one HTML file that needs nothing beside it, as a report. Equal comparisons give equal bytes."""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.reporting.comparison_content import ComparedSet, Comparison
from pipeline.reporting.comparison_figure import comparison_figure
from pipeline.reporting.comparison_table import comparison_table
from pipeline.reporting.comparison_words import headline, lead_label, nearest, set_sentence
from pipeline.reporting.formatting import in_unit
from pipeline.reporting.page import templates
from pipeline.reporting.score_tables import distance
from pipeline.reporting.theme import svg


@dataclass(frozen=True)
class Section:
    """What the page shows of one forget set."""

    content: ComparedSet
    anchor: str
    title: str
    measures: tuple[tuple[str, str], ...]
    sentence: str


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
            figure=Markup(svg(comparison_figure(comparison), f"{comparison.title}, {' and '.join(comparison.names)} side by side")),
            table=comparison_table(comparison, lead),
            judges=[(label, judge.note) for label, judge in comparison.judges.items()],
        )
    )


def _section(one: ComparedSet, number: int, comparison: Comparison, lead: str | None) -> Section:
    title, measures = "No method to follow", []
    for method in (method for method in one.methods if method.label == lead):
        where = nearest(comparison, one, method.label)
        title = f"{method.label} is about as near in both" if len(comparison.names) == 2 else f"{method.label} is about as near in the nearest two"
        title = title if where is None else f"{method.label} is nearest in {where}" if len(comparison.names) > 2 else f"{method.label} is nearer in {where}"
        for name, entry in zip(comparison.names, method.entries, strict=True):
            if entry is not None:
                away = distance(entry.main, comparison.judge)
                measures.append((in_unit(entry.main.value, entry.main.unit), f"{name}, {away}" if away else name))
    return Section(one, f"set-{number}", title, tuple(measures), set_sentence(one, comparison.names))
