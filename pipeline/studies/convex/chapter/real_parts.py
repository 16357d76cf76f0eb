"""The parts about real data and about guarantees in the chapter: figures and tables for the template."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.results.tables import Table
from pipeline.show.figures.theme import svg
from pipeline.studies.convex.chapter import chapter_tables
from pipeline.studies.convex.chapter.chapter_content import ConvexContent
from pipeline.studies.convex.chapter.chapter_words import course_words, verdict_words
from pipeline.studies.convex.chapter.data_figures import courses_figure, sweeps_figure
from pipeline.studies.convex.chapter.guarantee_figure import guarantee_figure


@dataclass(frozen=True)
class DataPart:
    """The part about one data set in the chapter."""

    label: str
    facts: Table
    constants: Table
    outcomes: Table
    courses: Markup
    sweeps: Markup


@dataclass(frozen=True)
class GuaranteePart:
    """The part about guarantees in the chapter."""

    facts: Table
    cases: Table
    verdict: str
    figure: Markup


def data_parts(content: ConvexContent) -> list[DataPart]:
    """Return a part for each data set."""
    return [
        DataPart(
            label=data.label,
            facts=chapter_tables.data_facts(data),
            constants=chapter_tables.constants_table(data),
            outcomes=chapter_tables.outcomes_table(data),
            courses=Markup(
                svg(courses_figure(data), f"R against gradient evaluations, and KLoM, {data.label}")
            ),
            sweeps=Markup(
                svg(
                    sweeps_figure(data),
                    f"Steps and R against penalty, share forgotten and condition, {data.label}",
                )
            ),
        )
        for data in content.data
    ]


def guarantee_part(content: ConvexContent) -> GuaranteePart | None:
    """Return the part on guarantees, or None if no guarantee was tested."""
    guarantees = content.guarantees
    if guarantees is None:
        return None
    return GuaranteePart(
        facts=chapter_tables.guarantee_facts(guarantees),
        cases=chapter_tables.guarantees_table(guarantees),
        verdict=verdict_words(guarantees),
        figure=Markup(
            svg(
                guarantee_figure(guarantees),
                "True against false positive rate of the strongest attack, beside the promise",
            )
        ),
    )


def real_figures(content: ConvexContent) -> dict[str, Figure]:
    """Return all figures of real data and guarantees by name."""
    found: dict[str, Figure] = {}
    for data in content.data:
        found |= {
            f"data_{data.label}_courses": courses_figure(data),
            f"data_{data.label}_sweeps": sweeps_figure(data),
        }
    return (
        found if content.guarantees is None else found | {"guarantees": guarantee_figure(content.guarantees)}
    )


def real_words(content: ConvexContent) -> list[str]:
    """Return the results on real data and guarantees, one sentence each."""
    said = [f"{data.label}: {course_words(data)}" for data in content.data]
    return said if content.guarantees is None else [*said, verdict_words(content.guarantees).rstrip(".")]
