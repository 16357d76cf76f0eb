"""The chapter on the convex case, as HTML that stands in the report or on a page of its own, and its figures as PNG."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.reporting.convex import linear_figures, linear_words
from pipeline.reporting.convex.content import ConvexContent, LinearContent
from pipeline.reporting.convex.real_parts import data_parts, guarantee_part, real_figures, real_words
from pipeline.reporting.theme import COLOURS, png, svg

# Steps of the table, and the shares of the distance to which steps are counted.
TARGETS = ("0.01", "1e-06")

FIGURES = {"steps": linear_figures.steps_figure, "evaluations": linear_figures.evaluations_figure, "stall": linear_figures.stall_figure}


@dataclass(frozen=True)
class Cells:
    """What an algorithm comes to at one penalty: steps to each target, gradient evaluations to the first, R at the end of stochastic steps."""

    steps: tuple[str, ...]
    evaluations: str
    stochastic: str


@dataclass(frozen=True)
class Line:
    """One line of the table: an algorithm at each penalty."""

    label: str
    cells: tuple[Cells, ...]


@dataclass(frozen=True)
class Example:
    """What the chapter shows of one example."""

    label: str
    about: str
    panels: list[LinearContent]
    lines: tuple[Line, ...]
    steps: Markup
    evaluations: Markup
    stall: Markup
    rates: Markup | None
    words: tuple[str, ...]
    rates_words: str
    earlier: list[tuple[str, list[tuple[str, str]]]]
    theory_words: str


def render_chapter(content: ConvexContent) -> str:
    """Return the chapter as HTML: a section, to be put into a page that has the report's style."""
    return (
        _environment()
        .get_template("convex_chapter.html.j2")
        .render(
            examples=[_example(*pair) for pair in content.examples().items()],
            targets=TARGETS,
            data=data_parts(content),
            left_out=content.left_out,
            guarantees=guarantee_part(content),
        )
    )


def render_page(content: ConvexContent, chapter: str) -> str:
    """Return a page of its own that holds the chapter."""
    return _environment().get_template("convex_page.html.j2").render(title=content.title, chapter=Markup(chapter), colours=COLOURS)


def figures(content: ConvexContent) -> dict[str, bytes]:
    """Return the figures as PNG by name."""
    found: dict[str, bytes] = {}
    for example, panels in content.examples().items():
        drawn = {name: draw(panels) for name, draw in FIGURES.items()}
        if _long(panels):
            drawn["rates"] = linear_figures.rates_figure(_long(panels)[0])
        found |= {f"linear_{example}_{name}": png(figure) for name, figure in drawn.items()}
    return found | {name: png(figure) for name, figure in real_figures(content).items()}


def summary(content: ConvexContent) -> str:
    """Return what the study comes to in one sentence for each example."""
    said = []
    for example, panels in content.examples().items():
        said += [f"{example}, λ = {panel.penalty:g}: {linear_words.panel_title(panel, 'full')}" for panel in panels]
    return "; ".join([*said, *real_words(content)]) + "."


def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("pipeline.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"share": linear_words.share}
    return environment


def _example(example: str, panels: list[LinearContent]) -> Example:
    long = _long(panels)
    return Example(
        label=example,
        about=linear_words.about_words(panels[0]),
        panels=panels,
        lines=tuple(Line(linear_words.name_of(name), tuple(_cells(panel, name) for panel in panels)) for name in panels[0].algorithms),
        steps=Markup(svg(linear_figures.steps_figure(panels), f"R against steps, example {example}")),
        evaluations=Markup(svg(linear_figures.evaluations_figure(panels), f"R against gradient evaluations, example {example}")),
        stall=Markup(svg(linear_figures.stall_figure(panels), f"R within and outside the retained span, example {example}")),
        rates=Markup(svg(linear_figures.rates_figure(long[0]), f"Long stochastic runs, example {example}")) if long else None,
        words=tuple(linear_words.plateau_words(panel) for panel in panels),
        earlier=linear_words.earlier_rows(panels),
        rates_words=linear_words.rates_words(long[0]) if long else "",
        theory_words=linear_words.theory_words(panels),
    )


def _long(panels: list[LinearContent]) -> list[LinearContent]:
    return [panel for panel in panels if panel.findings["rates"] is not None]


def _cells(panel: LinearContent, name: str) -> Cells:
    counts = [panel.findings["steps_to"][name][target] for target in TARGETS]
    first = counts[0]
    return Cells(
        steps=tuple("–" if count is None else f"{count:,}" for count in counts),
        evaluations="–" if first is None else f"{first * panel.findings['n_used'][name]:,}",
        stochastic=linear_words.share(float(panel.mean("stochastic", name)[-1])),
    )
