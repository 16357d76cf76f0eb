"""The page that compares experiments: one HTML file that needs no other file.

Equal comparisons give equal bytes.
"""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.results.comparison_content import ComparedSet, Comparison, lead_label
from pipeline.results.formatting import in_unit
from pipeline.results.score_tables import distance
from pipeline.show.comparison.comparison_figure import comparison_figure
from pipeline.show.comparison.comparison_tables import compared_table, settings_table
from pipeline.show.comparison.comparison_words import headline, nearness
from pipeline.show.figures.theme import svg
from pipeline.show.page import render_template


@dataclass(frozen=True)
class Card:
    """The summary of one forget set at the top of the page; measures holds pairs (value, description)."""

    content: ComparedSet
    title: str
    measures: tuple[tuple[str, str], ...]


def render_comparison(comparison: Comparison) -> str:
    """Return the comparison as HTML.

    It starts with words, followed by the figure, the tables, and the settings that differ.
    """
    lead = lead_label(comparison)
    return render_template(
        "comparison.html.j2",
        comparison=comparison,
        headline=headline(comparison),
        cards=[_card(one, comparison, lead) for one in comparison.sets],
        figure=Markup(
            svg(
                comparison_figure(comparison),
                f"{comparison.title}, {' and '.join(comparison.names)} side by side",
            )
        ),
        numbers=compared_table(comparison, lead),
        settings=settings_table(comparison),
        judges=[(label, judge.note) for label, judge in comparison.judges.items()],
    )


def _card(one: ComparedSet, comparison: Comparison, lead: str | None) -> Card:
    method = next((method for method in one.methods if method.label == lead), None)
    if method is None:
        return Card(one, "No method to follow", ())
    measures = []
    for name, entry in zip(comparison.names, method.entries, strict=True):
        if entry is not None:
            away = distance(entry.main, comparison.judge)
            measures.append((in_unit(entry.main.value, entry.main.unit), f"{name}, {away}" if away else name))
    return Card(one, f"{method.label} is {nearness(comparison, one, method.label)}", tuple(measures))
