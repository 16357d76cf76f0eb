"""Figures of real data: R of each removal against gradients, and sweeps of one setting at a time."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.show.colours import COLOURS
from pipeline.show.figures.theme import canvas, themed
from pipeline.studies.convex.chapter.chapter_content import DataContent
from pipeline.studies.convex.chapter.chapter_words import course_words
from pipeline.studies.convex.chapter.display_names import removal_name
from pipeline.studies.convex.chapter.number_formats import raised

# Range of R that is shown. Above it runs have diverged or are lost in noise; below it R is practically 0.
_SHOWN = (1e-6, 2.0)
COURSES: dict[str, dict[str, Any]] = {
    "gradient_ascent": {"color": COLOURS["quiet"], "linewidth": 1.0},
    "gradient_descent_stochastic": {"color": COLOURS["rival"], "linewidth": 1.2, "linestyle": (0, (3, 1.5))},
    "gradient_descent": {"color": COLOURS["rival"], "linewidth": 2.2},
    "oracle_matching": {"color": COLOURS["oracle"], "linewidth": 2.2},
    "oracle_matching_stochastic": {"color": COLOURS["oracle"], "linewidth": 3.0, "alpha": 0.55},
    "dmm_influence": {"color": COLOURS["accent"], "linewidth": 1.3, "linestyle": (0, (1, 1.5))},
    "dmm_datamodels": {"color": COLOURS["accent"], "linewidth": 2.0},
    "dmm_newton": {"color": COLOURS["accent"], "linewidth": 1.3, "linestyle": (0, (4, 2))},
}
JUMPS: dict[str, dict[str, Any]] = {
    "influence": {"marker": "v", "color": COLOURS["muted"]},
    "projective_residual": {"marker": "s", "color": COLOURS["muted"]},
    "newton": {"marker": "D", "color": COLOURS["ink"]},
}
FACTORS = {
    "penalty": "penalty λ",
    "forget_fraction": "share forgotten",
    "spectrum_power": "condition of the features",
}


class End(NamedTuple):
    """The end of the course of a removal in the figure, with its name."""

    x: float
    y: float
    name: str
    colour: str


def courses_figure(content: DataContent) -> Figure:
    """Return R against gradients of single points, and KLoM at the end under noise on the weights.

    Gradients are counted in passes over the data.
    """
    with themed():
        figure = canvas(10.4, 4.3)
        ax, beside = figure.subplots(1, 2, width_ratios=(1.95, 1))
        figure.subplots_adjust(0.06, 0.115, 0.985, 0.86, wspace=0.62)
        _draw_courses(ax, content)
        _draw_told(beside, content)
    return figure


def sweeps_figure(content: DataContent) -> Figure:
    """Return the results of the sweeps against each factor.

    The upper row shows the steps of descent and matching to R = 0.1, the lower row R of the removals that
    take a single step.
    """
    with themed():
        figure = canvas(9.6, 4.8)
        grid = figure.subplots(2, len(FACTORS), sharey="row")
        figure.subplots_adjust(0.07, 0.095, 0.985, 0.9, wspace=0.07, hspace=0.42)
        for column, (factor, called) in enumerate(FACTORS.items()):
            above, below = grid[0][column], grid[1][column]
            cells = content.sweep(factor)
            places = [
                cell["features_condition"] if factor == "spectrum_power" else cell["value"] for cell in cells
            ]
            for name, colour in (("gradient_descent", "rival"), ("oracle_matching", "oracle")):
                steps = [np.nan if cell["steps"][name] is None else cell["steps"][name] for cell in cells]
                above.plot(
                    places,
                    steps,
                    "o-",
                    color=COLOURS[colour],
                    linewidth=2,
                    markersize=4.5,
                    label=removal_name(name),
                )
            for name, style in JUMPS.items():
                below.plot(
                    places,
                    [cell["shares"][name] for cell in cells],
                    linewidth=1.5,
                    markersize=4.5,
                    **style,
                    label=removal_name(name),
                )
            for ax, title in (
                (above, f"Full-batch steps to R = 0.1, by {called}"),
                (below, "R after one jump"),
            ):
                _frame(ax, title if column == 0 or ax is above else "", called if ax is below else "")
                ax.set_xticks(
                    places, [f"{place:,.0f}" if place >= 100 else f"{place:.3g}" for place in places]
                )
                ax.margins(x=0.08)
            if column:
                above.set_title(f"by {called}")
        for ax in (grid[0][0], grid[1][2]):
            ax.legend(fontsize=8)
    return figure


def _draw_courses(ax: Axes, content: DataContent) -> None:
    n_points = content.facts["n_points"]
    lowest = max(
        _SHOWN[0], min(course.shares[-1] for course in content.courses if course.label in COURSES | JUMPS) / 3
    )
    ends: list[End] = []
    for label, style in COURSES.items():
        course = content.course(label)
        if course is not None:
            shares = np.where(
                (course.shares < 3 * _SHOWN[1]) & (course.shares > lowest / 10), course.shares, np.nan
            )
            ax.plot(course.evaluations[1:] / n_points, shares[1:], **style)
            last = np.flatnonzero(course.shares > lowest)[-1]
            ends.append(
                End(
                    float(course.evaluations[last] / n_points),
                    float(course.shares[last]),
                    removal_name(label, short=True),
                    style["color"],
                )
            )
    for label, style in JUMPS.items():
        course = content.course(label)
        if course is not None:
            ax.plot(
                course.evaluations[-1] / n_points,
                course.shares[-1],
                markersize=6.5,
                markeredgecolor=COLOURS["paper"],
                linestyle="none",
                **style,
            )
            place = float(course.evaluations[-1] / n_points), float(course.shares[-1])
            ax.annotate(
                removal_name(label, short=True),
                place,
                (6, 3),
                textcoords="offset points",
                fontsize=8,
                color=style["color"],
            )
    _frame(
        ax, f"{content.label}\n{course_words(content)}", "gradients of single points, in passes over the data"
    )
    ax.set_ylim(lowest, _SHOWN[1])
    ax.set_ylabel("R, share of the distance left")
    _name_ends(ax, ends, lowest)


def _name_ends(ax: Axes, ends: list[End], lowest: float) -> None:
    """Write the name of each course beside its end.

    A name stands to the right of the panel, as near to the height of the end as the names above it allow. If
    a course leaves the panel at the bottom, its name stands there.
    """
    furthest = max(end.x for end in ends)
    ax.set_xlim(right=1.15 * furthest)
    line, taken, leaving = (np.log10(_SHOWN[1]) - np.log10(lowest)) / 22, np.inf, lowest * 1.4
    for end in sorted(ends, key=lambda end: -end.y):
        if end.x < 0.9 * furthest:
            ax.annotate(
                end.name, (end.x, leaving), (5, 0), textcoords="offset points", fontsize=8, color=end.colour
            )
            leaving *= 10**line
            continue
        taken = min(float(np.log10(end.y)), taken - line)
        ax.annotate(
            end.name,
            (1.02, 10**taken),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            color=end.colour,
            va="center",
            annotation_clip=False,
        )


def _draw_told(ax: Axes, content: DataContent) -> None:
    """Draw a row with P95 KLoM on the forgotten points for each removal, the lowest KLoM at the bottom.

    The model before removal and the retrained model have rows too. A dashed line marks KLoM of the retrained
    model, the floor.
    """
    rows = sorted(content.outcomes, key=lambda outcome: outcome["klom"]["forget"]["p95"])
    floor = next(row for row in rows if row["label"] == "retrain")["klom"]["forget"]["p95"]
    ax.axvline(floor, color=COLOURS["oracle"], linewidth=1.1, linestyle="--")
    for place, row in enumerate(rows):
        value, colour = row["klom"]["forget"]["p95"], _colour(row)
        ax.plot([floor, value], [place, place], color=colour, linewidth=1.4, alpha=0.5)
        ax.plot(value, place, "o", color=colour, markersize=5)
        ax.text(value * 1.13, place, f"{value:.2f}", fontsize=7.5, va="center", color=COLOURS["muted"])
    ax.set_yticks(range(len(rows)), [removal_name(row["label"], short=True) for row in rows])
    ax.tick_params(axis="y", labelcolor=COLOURS["ink"], labelsize=8)
    ax.set_xscale("log")
    ax.set_xlim(0.8 * floor, 26)
    ax.set_xticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
    ax.minorticks_off()
    ax.set_title(
        "P95 KLoM on forgotten points\nunder noise on the weights, nats",
        linespacing=1.5,
    )
    ax.grid(axis="x")


def _colour(row: Mapping[str, Any]) -> str:
    label = row["label"]
    return str(
        (COURSES | JUMPS).get(
            label, {"color": COLOURS["oracle"] if label == "retrain" else COLOURS["muted"]}
        )["color"]
    )


def _frame(ax: Axes, title: str, along: str) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_formatter(
        lambda value, _: f"{value:,.10g}" if 1e-3 <= value < 1e5 else f"10{raised(round(np.log10(value)))}"
    )
    ax.yaxis.set_major_formatter(
        lambda value, _: f"{value:,.0f}" if 1 <= value < 1e5 else f"10{raised(round(np.log10(value)))}"
    )
    ax.minorticks_off()
    ax.set_xlabel(along)
    ax.set_title(title, linespacing=1.5)
    ax.grid(axis="y")
