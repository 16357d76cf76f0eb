"""Renders the chapter on the convex case as HTML, for the report or as a page, and its figures as PNG."""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.results.tables import Table
from pipeline.show.figures.theme import png, svg
from pipeline.show.page import render_template
from pipeline.studies.convex.chapter import chapter_tables, linear_figures
from pipeline.studies.convex.chapter.chapter_content import ConvexContent, LinearContent
from pipeline.studies.convex.chapter.chapter_words import panel_title
from pipeline.studies.convex.chapter.real_parts import data_parts, guarantee_part, real_figures, real_words

# The package that has the templates of the study.
TEMPLATES = "pipeline.studies.convex"
FIGURES = {
    "steps": linear_figures.steps_figure,
    "evaluations": linear_figures.evaluations_figure,
    "stall": linear_figures.stall_figure,
}


@dataclass(frozen=True)
class Example:
    """The parts of the chapter about one example of the linear study."""

    label: str
    panels: list[LinearContent]
    facts: Table
    algorithms: Table
    forecasts: Table
    earlier: Table
    rates_numbers: Table | None
    steps: Markup
    evaluations: Markup
    stall: Markup
    rates: Markup | None


def render_chapter(content: ConvexContent) -> str:
    """Return the chapter as HTML: a section for a page with the style of the report."""
    return render_template(
        "convex_chapter.html.j2",
        TEMPLATES,
        examples=[_example(*pair) for pair in content.examples().items()],
        data=data_parts(content),
        left_out=content.left_out,
        guarantees=guarantee_part(content),
    )


def render_page(content: ConvexContent, chapter: str) -> str:
    """Return a separate page that holds the chapter."""
    return render_template("convex_page.html.j2", TEMPLATES, title=content.title, chapter=Markup(chapter))


def chapter_figures(content: ConvexContent) -> dict[str, bytes]:
    """Return the figures as PNG by name."""
    found: dict[str, bytes] = {}
    for example, panels in content.examples().items():
        drawn = {name: draw(panels) for name, draw in FIGURES.items()}
        if _long(panels):
            drawn["rates"] = linear_figures.rates_figure(_long(panels)[0])
        found |= {f"linear_{example}_{name}": png(figure) for name, figure in drawn.items()}
    return found | {name: png(figure) for name, figure in real_figures(content).items()}


def chapter_summary(content: ConvexContent) -> str:
    """Return the results of the study in one sentence, with a part for each panel and each data set."""
    said = []
    for example, panels in content.examples().items():
        said += [f"{example}, λ = {panel.penalty:g}: {panel_title(panel, 'full')}" for panel in panels]
    return "; ".join([*said, *real_words(content)]) + "."


def _example(example: str, panels: list[LinearContent]) -> Example:
    long = _long(panels)
    return Example(
        label=example,
        panels=panels,
        facts=chapter_tables.linear_facts(panels),
        algorithms=chapter_tables.algorithms_table(panels),
        forecasts=chapter_tables.forecasts_table(panels),
        earlier=chapter_tables.earlier_table(panels),
        rates_numbers=chapter_tables.rates_table(long[0]) if long else None,
        steps=Markup(svg(linear_figures.steps_figure(panels), f"R against steps, example {example}")),
        evaluations=Markup(
            svg(
                linear_figures.evaluations_figure(panels),
                f"R against gradient evaluations, example {example}",
            )
        ),
        stall=Markup(
            svg(
                linear_figures.stall_figure(panels),
                f"R within and outside the retained span, example {example}",
            )
        ),
        rates=Markup(svg(linear_figures.rates_figure(long[0]), f"Long stochastic runs, example {example}"))
        if long
        else None,
    )


def _long(panels: list[LinearContent]) -> list[LinearContent]:
    return [panel for panel in panels if panel.findings["rates"] is not None]
