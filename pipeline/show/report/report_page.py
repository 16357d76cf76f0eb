"""The report page: one HTML file that needs no other file, no network and no script.

Equal reports give equal bytes.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.results.attribution_content import PointContent
from pipeline.results.report_content import Report, SetContent, chosen_row
from pipeline.results.tables import Table
from pipeline.show.figures.theme import grey_range, image_png
from pipeline.show.page import render_template
from pipeline.show.report.report_figures import Drawing, set_name, shown_points
from pipeline.show.report.report_tables import (
    attribution_table,
    forecast_table,
    judge_notes,
    key_figures,
    numbers_table,
    populations_table,
)
from pipeline.show.report.report_words import Verdict, summary, verdict


@dataclass(frozen=True)
class _Section:
    """The content of one forget set on the page.

    measures are pairs (value, description). follows is the label of the row of `chosen_row`. tiles are pairs
    (image as a data URI, point). foreseen is the table of the datamodel's forecast. margins, forecast and
    influences are figures.
    """

    content: SetContent
    verdict: Verdict
    measures: tuple[tuple[str, str], ...]
    follows: str
    margins: Markup | None
    tiles: list[tuple[str, PointContent]]
    foreseen: Table | None
    forecast: Markup | None
    influences: tuple[Markup, ...]


def render(report: Report, drawn: Mapping[str, Drawing]) -> str:
    """Return the report as HTML: verdict, table, figures and images, attribution, studies, and all costs.

    drawn holds the figures of the report by name, as `drawings` returns them.
    """
    pictures = {name: drawing.svg() for name, drawing in drawn.items() if not name.startswith("forgotten_")}
    sections = [_section(content, number, pictures) for number, content in enumerate(report.sets)]
    first = report.sets[0] if report.sets else None
    return render_template(
        "report.html.j2",
        report=report,
        sections=sections,
        summary=summary([section.verdict for section in sections]),
        costs=None if first is None else pictures[f"{next(iter(first.judges))}_against_cost"],
        chapters=[(study, Markup(study.html)) for study in report.studies],
        has_snapshots=any(
            len(content.curve_of(row)) > 1 for content in report.sets for row in content.judged
        ),
        curve=pictures.get("lds_by_models"),
        title="Scores" if first is None else first.title,
        place="points" if first is None else first.place,
        judges=judge_notes(report.sets),
        numbers=numbers_table(report.sets),
        populations=populations_table(report.populations),
        fit=None if report.attribution is None else attribution_table(report.attribution),
    )


def _section(content: SetContent, number: int, pictures: Mapping[str, Markup]) -> _Section:
    follows, name = chosen_row(content), set_name(content, number)
    return _Section(
        content=content,
        verdict=verdict(content),
        measures=key_figures(content),
        follows="" if follows is None else follows.label,
        margins=pictures.get(f"margins_{name}"),
        tiles=_tiles(content),
        foreseen=None if content.forecast is None else forecast_table(content.forecast.splits),
        forecast=pictures.get(f"predicted_{name}"),
        influences=tuple(pictures[f"influences_{name}_{one.target.id}"] for one in content.influences),
    )


def _tiles(content: SetContent) -> list[tuple[str, PointContent]]:
    """Return (image as a data URI, point) for the points of a set that the page pictures."""
    grey = grey_range(content.forgotten)
    return [
        (f"data:image/png;base64,{base64.b64encode(image_png(point.image, *grey)).decode()}", point)
        for point in shown_points(content)
        if point.image is not None
    ]
