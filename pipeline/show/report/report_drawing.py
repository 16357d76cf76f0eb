"""Draws a report: the page, its figures and its verdicts in words.

The package jobs hands draw_report to the graph. The node of the report calls it on a worker.
"""

from pipeline.results.report_content import DrawnReport, Report
from pipeline.show.report.report_words import summary, verdict


def draw_report(report: Report) -> DrawnReport:
    """Return the page, the figures and the verdicts of a report, as the store keeps them."""
    # Importing Matplotlib takes a second. A command that only reads the status does not wait for it, nor does
    # a worker that trains.
    from pipeline.show.figures.theme import png
    from pipeline.show.report.report_figures import drawings
    from pipeline.show.report.report_page import render

    drawn = drawings(report)
    verdicts = [verdict(content) for content in report.sets]
    return DrawnReport(
        html=render(report, drawn),
        figures={name: png(drawing.figure) for name, drawing in drawn.items()},
        summary=summary(verdicts),
        headlines={one.label: one.headline for one in verdicts},
    )
