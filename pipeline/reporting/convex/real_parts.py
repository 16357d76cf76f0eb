"""The parts of the chapter on real data and on guarantees: figures, tables and words, ready for the template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.reporting.convex.content import ConvexContent, DataContent
from pipeline.reporting.convex.data_figures import courses_figure, sweeps_figure
from pipeline.reporting.convex.data_words import about_words, amount, assumption_words, cost_words, course_words, name_of, noise_words, plateau_words
from pipeline.reporting.convex.guarantee_figure import guarantee_figure
from pipeline.reporting.convex.guarantee_words import about_guarantees, verdict_words
from pipeline.reporting.theme import svg


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class DataPart:
    """What the chapter shows of one data set."""

    label: str
    about: str
    assumptions: str
    cost: str
    noise: str
    courses: Markup
    sweeps: Markup
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class GuaranteePart:
    """What the chapter shows of guarantees."""

    about: str
    verdict: str
    figure: Markup
    rows: tuple[Row, ...]


def data_parts(content: ConvexContent) -> list[DataPart]:
    """Return a part for each data set."""
    return [_data_part(data) for data in content.data]


def guarantee_part(content: ConvexContent) -> GuaranteePart | None:
    """Return the part on guarantees, None where none were put to the test."""
    guarantees = content.guarantees
    if guarantees is None:
        return None
    return GuaranteePart(
        about=about_guarantees(guarantees),
        verdict=verdict_words(guarantees),
        figure=Markup(svg(guarantee_figure(guarantees), "True against false positive rate of the strongest attack, beside the promise")),
        rows=tuple(_case(case.told) for case in guarantees.cases),
    )


def real_figures(content: ConvexContent) -> dict[str, Figure]:
    """Return all figures of real data and guarantees by name."""
    found: dict[str, Figure] = {}
    for data in content.data:
        found |= {f"data_{data.label}_courses": courses_figure(data), f"data_{data.label}_sweeps": sweeps_figure(data)}
    return found if content.guarantees is None else found | {"guarantees": guarantee_figure(content.guarantees)}


def real_words(content: ConvexContent) -> list[str]:
    """Return what real data and guarantees come to, a sentence each."""
    said = [f"{data.label}: {course_words(data)}" for data in content.data]
    return said if content.guarantees is None else [*said, verdict_words(content.guarantees).rstrip(".")]


def _data_part(data: DataContent) -> DataPart:
    return DataPart(
        label=data.label,
        about=about_words(data),
        assumptions=assumption_words(data),
        cost=f"{cost_words(data)} {plateau_words(data)}".strip(),
        noise=noise_words(data),
        courses=Markup(svg(courses_figure(data), f"R against gradient evaluations, and KLoM, {data.label}")),
        sweeps=Markup(svg(sweeps_figure(data), f"Steps and R against penalty, share forgotten and condition, {data.label}")),
        rows=tuple(_outcome(data, outcome) for outcome in data.outcomes),
    )


def _outcome(data: DataContent, outcome: Mapping[str, Any]) -> Row:
    course = data.course(outcome["label"])
    passes = 0.0 if course is None else float(course.evaluations[-1]) / data.facts["n_points"]
    klom = [f"{outcome['klom'][points]['p95']:.2f}" for points in ("forget", "unseen")]
    margins = [_nats(outcome[name]) for name in ("margin", "margin_apart")]
    return Row(name_of(outcome["label"]), (amount(outcome["share"]), amount(passes), *margins, *klom, f"{100 * outcome['ulira']:.1f} %"))


def _nats(value: float) -> str:
    return (f"{value:.4f}" if abs(value) < 1 else f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}").replace("-", "−")


def _case(told: Mapping[str, Any]) -> Row:
    verdict = told["verdict"]
    excess = [f"{verdict[name]:+.3f}".replace("-", "−") for name in ("excess", "excess_low")]
    numbers = (*(amount(told[name]) for name in ("sigma", "assumed", "actual")), *excess)
    return Row(f"{told['method']}: {told['situation']}", (*numbers, "broken" if verdict["is_broken"] else "kept"))
