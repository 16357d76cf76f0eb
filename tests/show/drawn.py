"""A report drawn as a page, and as figures."""

from pipeline.results.report_content import Report
from pipeline.show.figures.theme import png
from pipeline.show.report.report_figures import drawings
from pipeline.show.report.report_page import render as render_page


def render(report: Report) -> str:
    return render_page(report, drawings(report))


def figures(report: Report) -> dict[str, bytes]:
    return {name: png(drawing.figure) for name, drawing in drawings(report).items()}
