"""The page that compares experiments: one HTML file that needs nothing beside it, as a report. Equal comparisons give equal bytes."""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.reporting import formatting
from pipeline.reporting.comparison_content import ComparedSet, Comparison, lead_label
from pipeline.reporting.comparison_figure import comparison_figure
from pipeline.reporting.comparison_tables import compared_table, settings_table
from pipeline.reporting.comparison_words import headline, nearness
from pipeline.reporting.cost_figure import CEILING
from pipeline.reporting.page import templates
from pipeline.reporting.theme import svg
from pipeline.show.results import SHADES


@dataclass(frozen=True)
class Card:
    """What the page says first of one forget set."""

    content: ComparedSet
    title: str
    measures: tuple[tuple[str, str], ...]


def render_comparison(comparison: Comparison) -> str:
    """Return the comparison as HTML: in words first, then the figure, the tables, and the settings that differ."""
    lead = lead_label(comparison)
    return (
        templates()
        .get_template("comparison.html.j2")
        .render(
            comparison=comparison,
            headline=headline(comparison),
            cards=[_card(one, comparison, lead) for one in comparison.sets],
            figure=Markup(svg(comparison_figure(comparison), f"P95 KLoM on the forgotten points, {' and '.join(comparison.names)} side by side")),
            numbers=compared_table(comparison, lead),
            settings=settings_table(comparison),
            ceiling=CEILING,
            shades=SHADES,
        )
    )


def _card(one: ComparedSet, comparison: Comparison, lead: str | None) -> Card:
    method = next((method for method in one.methods if method.label == lead), None)
    if method is None:
        return Card(one, "No method to follow", ())
    measures = []
    for name, entry, floor in zip(comparison.names, method.entries, one.floor, strict=True):
        if entry is not None:
            times = formatting.times_floor(entry.p95, floor)
            measures.append((formatting.nats(entry.p95), f"{name}, {times} floor" if times else name))
    return Card(one, f"{method.label} is {nearness(one, method.label, comparison.names)}", tuple(measures))
