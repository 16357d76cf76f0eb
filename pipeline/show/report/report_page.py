"""The report page: one HTML file that needs no other file, no network and no script.

Equal reports give equal bytes.
"""

import base64
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from pipeline.results import formatting
from pipeline.results.attribution_content import InfluenceContent
from pipeline.results.report_content import Report, SetContent, chosen_row, point_label
from pipeline.results.tables import Table
from pipeline.show.figures.cost_figure import cost_figure
from pipeline.show.figures.curve_figure import curve_figure
from pipeline.show.figures.forecast_figure import forecast_figure
from pipeline.show.figures.influence_figure import influence_figure
from pipeline.show.figures.margin_figure import margin_figure
from pipeline.show.figures.theme import COLOURS, image_png, svg
from pipeline.show.page import template_environment
from pipeline.show.report.report_figures import shown_points
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
class Tile:
    """One forgotten image: a data URI and the text under it."""

    source: str
    id: int
    label: str
    is_flipped: bool


@dataclass(frozen=True)
class _Section:
    """The part of the page for one forget set."""

    content: SetContent
    verdict: Verdict
    measures: tuple[tuple[str, str], ...]
    anchor: str
    follows: str
    margins: Markup | None
    tiles: tuple[Tile, ...]
    foreseen: Table | None
    forecast: Markup | None
    influences: tuple[Markup, ...]


def render(report: Report) -> str:
    """Return the report as HTML: verdict first, then table, figures, images, and the cost of all models."""
    sections = [_section(content, number) for number, content in enumerate(report.sets)]
    title = report.sets[0].title if report.sets else "Scores"
    costs = (
        Markup(svg(cost_figure(report.sets), f"{title} against the cost of a request"))
        if report.sets
        else None
    )
    curve, forgetting = (
        (None, ())
        if report.attribution is None
        else (report.attribution.curve, report.attribution.forgetting)
    )
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            report=report,
            sections=sections,
            summary=summary([section.verdict for section in sections]),
            costs=costs,
            chapters=[(study, Markup(study.html)) for study in report.studies],
            has_snapshots=any(
                len(content.curve_of(row)) > 1 for content in report.sets for row in content.judged
            ),
            curve=None
            if curve is None
            else Markup(
                svg(curve_figure(curve, forgetting), "LDS and forgetting against the number of subset models")
            ),
            colours=COLOURS,
            title=title,
            place=report.sets[0].place if report.sets else "points",
            judges=judge_notes(report.sets),
            numbers=numbers_table(report.sets),
            populations=populations_table(report.populations),
            fit=None if report.attribution is None else attribution_table(report.attribution),
        )
    )


def templates() -> Environment:
    """Return the templates of all pages; they escape all values, and a missing value is an error."""
    made = template_environment()
    made.filters |= {"nats": formatting.nats}
    return made


def _section(content: SetContent, number: int) -> _Section:
    figure = margin_figure(content)
    follows, forecast = chosen_row(content), content.forecast
    return _Section(
        content=content,
        verdict=verdict(content),
        measures=key_figures(content),
        anchor=f"set-{number}",
        follows="" if follows is None else follows.label,
        margins=None
        if figure is None
        else Markup(svg(figure, f"Margins of forgotten points of set {content.label}, number {number}")),
        tiles=_tiles(content),
        foreseen=None if forecast is None else forecast_table(forecast.splits),
        forecast=None
        if forecast is None
        else Markup(
            svg(
                forecast_figure(forecast),
                f"Predicted changes of margins for set {content.label}, number {number}",
            )
        ),
        influences=tuple(
            Markup(svg(influence_figure(one), _influence_title(one, content, number)))
            for one in content.influences
        ),
    )


def _influence_title(one: InfluenceContent, content: SetContent, number: int) -> str:
    return f"Training points that help and hurt point {one.target.id} of set {content.label}, number {number}"


def _tiles(content: SetContent) -> tuple[Tile, ...]:
    if content.images is None:
        return ()
    low, high = float(np.nanmin(content.images)), float(np.nanmax(content.images))
    return tuple(
        Tile(
            source=_data_uri(image_png(content.images[point], low, high)),
            id=int(content.ids[point]),
            label=point_label(content, point),
            is_flipped=content.true_labels is not None
            and bool(content.true_labels[point] != content.labels[point]),
        )
        for point in shown_points(content)
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
