"""The page: one HTML file that needs nothing beside it, no network, no script. Equal reports give equal bytes."""

import base64
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.reporting import formatting
from pipeline.reporting.attribution_content import InfluenceContent
from pipeline.reporting.attribution_words import constant_words, forecast_measures, forecast_words, r2_words
from pipeline.reporting.content import SPLITS, Report, Role, Row, SetContent, point_label
from pipeline.reporting.cost_figure import CEILING, cost_figure
from pipeline.reporting.curve_figure import curve_figure
from pipeline.reporting.figures import shown_points
from pipeline.reporting.forecast_figure import forecast_figure
from pipeline.reporting.influence_figure import influence_figure
from pipeline.reporting.margin_figure import margin_figure
from pipeline.reporting.theme import COLOURS, image_png, svg
from pipeline.reporting.verdict import chosen_row, judge
from pipeline.reporting.words import Verdict, summary, verdict

KINDS = {
    Role.DATAMODEL: "uses the datamodel",
    Role.RIVAL: "no datamodel",
    Role.NOTHING: "does nothing",
    Role.PREDICTOR: "predictor, moves no weights",
    Role.BOUND: "bound, needs true oracles",
}
# A KLoM is shaded by how many floors it is: up to 1.5 not at all, from 10 on most.
SHADES = (1.5, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Klom:
    """One KLoM cell: the P95, the small print under it, and its shade from 0 (at the floor) to 4."""

    value: str
    interval: str
    small: str
    shade: int


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    label: str
    kind: str
    is_best: bool
    klom: tuple[Klom, ...]
    accuracy: tuple[tuple[str, str], ...]
    cost: str
    amortised: str
    n_nonfinite: int


@dataclass(frozen=True)
class Tile:
    """One forgotten image: a data URI and what is written under it."""

    source: str
    id: int
    label: str
    is_flipped: bool


@dataclass(frozen=True)
class Section:
    """What the page shows of one forget set."""

    content: SetContent
    verdict: Verdict
    anchor: str
    lines: tuple[Line, ...]
    follows: str
    margins: Markup | None
    tiles: tuple[Tile, ...]
    measures: tuple[tuple[str, str], ...]
    foreseen: str
    forecast: Markup | None
    influences: tuple[Markup, ...]


def render(report: Report) -> str:
    """Return the report as HTML: verdict first, then table, figures, images, and what it took."""
    sections = [_section(content, number) for number, content in enumerate(report.sets)]
    costs = Markup(svg(cost_figure(report.sets), "P95 KLoM on the forgotten points against the cost of a request")) if report.sets else None
    curve, forgetting = (None, ()) if report.attribution is None else (report.attribution.curve, report.attribution.forgetting)
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            report=report,
            sections=sections,
            summary=summary([section.verdict for section in sections]),
            costs=costs,
            chapters=[(study, Markup(study.html)) for study in report.studies],
            curve=None if curve is None else Markup(svg(curve_figure(curve, forgetting), "LDS and forgetting against the number of subset models")),
            colours=COLOURS,
            ceiling=CEILING,
            splits=SPLITS,
            shades=SHADES,
        )
    )


def templates() -> Environment:
    """Return the templates of all pages; what they are given is escaped, and what they miss is an error."""
    environment = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"nats": formatting.nats, "percent": formatting.percent, "duration": formatting.duration, "span": formatting.span}
    environment.globals |= {"r2_words": r2_words, "constant_words": constant_words}
    return environment


def _section(content: SetContent, number: int) -> Section:
    figure = margin_figure(content)
    follows, forecast = chosen_row(content), content.forecast
    return Section(
        content=content,
        verdict=verdict(content),
        anchor=f"set-{number}",
        lines=_lines(content),
        follows="" if follows is None else follows.label,
        margins=None if figure is None else Markup(svg(figure, f"Margins of forgotten points of set {content.label}, number {number}")),
        tiles=_tiles(content),
        measures=() if forecast is None else tuple(forecast_measures(forecast)),
        # The first sentence says what the measures show.
        foreseen="" if forecast is None else " ".join(forecast_words(forecast)[1:]),
        forecast=None if forecast is None else Markup(svg(forecast_figure(forecast), f"Predicted changes of margins for set {content.label}, number {number}")),
        influences=tuple(Markup(svg(influence_figure(one), _influence_title(one, content, number))) for one in content.influences),
    )


def _influence_title(one: InfluenceContent, content: SetContent, number: int) -> str:
    return f"Training points that help and hurt point {one.target.id} of set {content.label}, number {number}"


def _lines(content: SetContent) -> tuple[Line, ...]:
    winner = judge(content).winner
    oracle = Line(
        label="retraining",
        kind="the floor",
        is_best=False,
        klom=tuple(Klom(formatting.nats(content.floor[split]), "", f"mean {formatting.nats(content.floor_mean[split])}", 0) for split in SPLITS),
        accuracy=tuple((formatting.percent(content.oracle_accuracy[split]), "") for split in SPLITS),
        cost=formatting.percent(1.0),
        amortised=formatting.percent(1.0),
        n_nonfinite=0,
    )
    return (oracle, *(_line(row, content, is_best=row is winner) for row in content.rows))


def _line(row: Row, content: SetContent, *, is_best: bool) -> Line:
    return Line(
        label=row.label,
        kind=KINDS[row.role],
        is_best=is_best,
        klom=tuple(_klom(row, split, content.floor[split]) for split in SPLITS),
        accuracy=tuple((formatting.percent(row.accuracy[split]), formatting.points(row.accuracy[split] - content.oracle_accuracy[split])) for split in SPLITS),
        cost=formatting.percent(row.cost.fraction),
        amortised=formatting.percent(row.cost.amortised_fraction),
        n_nonfinite=row.n_nonfinite,
    )


def _klom(row: Row, split: str, floor: float) -> Klom:
    times = formatting.times_floor(row.p95[split], floor)
    small = f"mean {formatting.nats(row.mean[split])}" + (f" · {times} floor" if times else "")
    return Klom(formatting.nats(row.p95[split]), formatting.span(row.interval[split]), small, shade(row.p95[split], floor))


def shade(value: float, floor: float) -> int:
    """Return how dark a KLoM is shown, 0 to 4, by its ratio to the floor; differences below .1 nats count for nothing."""
    if np.isnan(value):
        return len(SHADES)
    return 0 if value <= floor + 0.1 else sum(value > bound * floor for bound in SHADES)


def _tiles(content: SetContent) -> tuple[Tile, ...]:
    if content.images is None:
        return ()
    low, high = float(np.nanmin(content.images)), float(np.nanmax(content.images))
    return tuple(
        Tile(
            source=_data_uri(image_png(content.images[point], low, high)),
            id=int(content.ids[point]),
            label=point_label(content, point),
            is_flipped=content.true_labels is not None and bool(content.true_labels[point] != content.labels[point]),
        )
        for point in shown_points(content)
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
