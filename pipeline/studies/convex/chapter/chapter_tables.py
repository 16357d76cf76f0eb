"""The tables of the convex chapter, filled from its content.

R is the share of the squared distance to the retrained minimiser that is left.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.results.formatting import nats
from pipeline.results.tables import (
    Cell,
    Column,
    Row,
    Table,
    Tone,
    mark_best,
    number,
    number_column,
    row_of,
    table_of,
)
from pipeline.studies.convex.chapter.chapter_content import (
    CourseContent,
    DataContent,
    GuaranteeContent,
    LinearContent,
)
from pipeline.studies.convex.chapter.display_names import EARLIER, algorithm_name, removal_name
from pipeline.studies.convex.chapter.number_formats import amount, share_left

# The values of R to which steps are counted, with their display names.
TARGETS = {"0.01": "10⁻²", "1e-06": "10⁻⁶"}


def algorithms_table(panels: Sequence[LinearContent]) -> Table:
    """Return the steps of each algorithm to each target, at each penalty."""
    columns = [Column("Algorithm")]
    for panel in panels:
        group = _penalty(panel)
        columns += [
            number_column(f"steps to {TARGETS['0.01']}", group=group),
            number_column(f"to {TARGETS['1e-06']}", group=group),
            number_column(f"gradients to {TARGETS['0.01']}", group=group),
            number_column(f"R, batches of {panel.batch_size}", show=share_left, group=group),
        ]
    rows = []
    for name in panels[0].algorithms:
        cells = [cell for panel in panels for cell in _steps(panel, name)]
        rows.append(row_of(algorithm_name(name), *cells))
    return table_of(columns, rows)


def _penalty(panel: LinearContent) -> str:
    return f"λ = {panel.penalty:g}"


def _steps(panel: LinearContent, name: str) -> list[float | int | None]:
    first, second = (panel.findings["steps_to"][name][target] for target in TARGETS)
    evaluations = None if first is None else first * panel.findings["n_used"][name]
    return [first, second, evaluations, float(panel.mean("stochastic", name)[-1])]


def forecasts_table(panels: Sequence[LinearContent]) -> Table:
    """Return R where DMM stops with each forecast, and the full-batch steps to twice this R."""
    columns = [Column("Forecast")]
    for panel in panels:
        columns += [
            number_column("R where DMM stops", show=share_left, group=_penalty(panel)),
            number_column("steps to twice that", group=_penalty(panel)),
        ]
    names = {
        "datamodels": f"ridge datamodels of {panels[0].n_subset_models:,} subset models",
        "influence": "influence functions",
    }
    rows = []
    for name, label in names.items():
        found = [panel.findings["plateau"][name] for panel in panels]
        rows.append(
            row_of(label, *(value for one in found for value in (one["share"], one["steps_to_twice"])))
        )
    leverages = ", ".join(f"{panel.findings['mean_leverage']:.3f} at {_penalty(panel)}" for panel in panels)
    return table_of(columns, rows, notes=[f"Mean leverage: {leverages}."])


def earlier_table(panels: Sequence[LinearContent]) -> Table:
    """Return R at the end and the cost of each earlier method, at each penalty.

    The cost is in gradients of single points.
    """
    columns = [Column("Earlier methods")]
    for panel in panels:
        columns += [
            number_column("R at the end", show=share_left, group=_penalty(panel)),
            number_column("gradients", group=_penalty(panel)),
        ]
    rows = []
    for name, label in EARLIER.items():
        found = [panel.findings["earlier"][name] for panel in panels]
        rows.append(row_of(label, *(value for one in found for value in (one["share"], one["evaluations"]))))
    return table_of(columns, rows)


def linear_facts(panels: Sequence[LinearContent]) -> Table:
    """Return a table of the sizes and the noise of the random problems.

    It also has the largest difference between theorem 1 and the computed descent.
    """
    first = panels[0]
    worst = max(panel.findings["deviation_from_theorem_1"] for panel in panels)
    return _facts(
        {
            "points": first.n_points,
            "features": first.n_features,
            "forgotten at random": first.n_forget,
            "noise of targets, variance": f"{first.noise_variance:g}",
            "largest deviation from theorem 1": share_left(worst),
        }
    )


def rates_table(panel: LinearContent) -> Table:
    """Return the results of the long stochastic runs, beside theorem 2."""
    rates = panel.findings["rates"]
    facts: dict[str, Any] = {"λ": f"{panel.penalty:g}", "batches": rates["n_steps"]}
    if rates["matching"] is None:
        return _facts({**facts, "tail": "too few batches to see one"})
    return _facts(
        {
            **facts,
            "OM keeps of E R each step": f"{rates['matching']:.4f}",
            "theorem 2 promises at most": f"{rates['bound']:.4f}",
            "log R explained by a straight line": f"{100 * rates['straightness']:.2f} %",
            "SGD falls as t to the power": f"−{rates['descent_power']:.2f}",
            "R of OM at the end": share_left(rates["matching_left"]),
            "R of SGD then": share_left(rates["descent_left"]),
        }
    )


def outcomes_table(data: DataContent) -> Table:
    """Return the outcome of every removal on a data set; the row of retraining is the floor."""
    columns = (
        Column("Removal"),
        number_column("R", show=amount),
        number_column("in all", show=amount, group="Passes"),
        number_column("to twice its end", show=amount, group="Passes"),
        number_column("of the oracle", show=amount, group="Passes"),
        number_column("mean", show=_margin, group="Margins, nats"),
        number_column("off by", show=_margin, group="Margins, nats"),
        number_column("forgotten", show=nats, group="P95 KLoM, nats", better="lower"),
        number_column("unseen", show=nats, group="P95 KLoM, nats", better="lower"),
        number_column("U-LiRA, %", digits=1),
    )
    return mark_best(table_of(columns, [_outcome(data, outcome) for outcome in data.outcomes]))


def _outcome(data: DataContent, outcome: Mapping[str, Any]) -> Row:
    label, n_points = outcome["label"], data.facts["n_points"]
    course = data.course(label)
    passes = 0.0 if course is None else float(course.evaluations[-1]) / n_points
    oracle = data.course("oracle_matching_stochastic")
    soon: list[float | None] = [None, None]
    if course is not None and oracle is not None and label.startswith("dmm_"):
        soon = [_passes_to(one, 2 * float(course.shares[-1])) / n_points for one in (course, oracle)]
    klom = [outcome["klom"][points]["p95"] for points in ("forget", "unseen")]
    is_reference = label == "retrain"
    tone = Tone.REFERENCE if is_reference else Tone.NEUTRAL
    numbers = (
        outcome["share"],
        passes,
        *soon,
        outcome["margin"],
        outcome["margin_apart"],
        *klom,
        100 * outcome["ulira"],
    )
    return row_of(removal_name(label), *numbers, tone=tone, competes=not is_reference)


def _passes_to(course: CourseContent, target: float) -> float:
    """Return the gradients of single points until R is at or below a target; infinite if it never is."""
    reached = course.shares <= target
    return float(course.evaluations[np.argmax(reached)]) if reached.any() else math.inf


def _margin(value: float) -> str:
    return number(value, 4 if abs(value) < 1 else 2 if abs(value) < 1000 else 0)


def data_facts(data: DataContent) -> Table:
    """Return the facts of the data and the problem."""
    facts = data.facts
    return _facts(
        {
            "points": facts["n_points"],
            "features": facts["n_features"],
            "classes": facts["n_classes"],
            "forgotten at random": facts["n_forget"],
            "λ": f"{facts['penalty']:g}",
            "accuracy on unseen points": f"{100 * facts['accuracy']['full']:.1f} %",
            "noise on the weights, σ": share_left(facts["sigma"]),
        }
    )


def constants_table(data: DataContent) -> Table:
    """Return the constants of the problem on which guarantees depend."""
    constants = data.facts["constants"]
    return _facts(
        {
            "strong convexity m": f"{constants['strong_convexity']:.3g}",
            "smoothness M": f"{constants['smoothness']:.3g}",
            "condition number, at most": f"{constants['condition']:,.0f}",
            "Lipschitz constant, one point's loss": f"{constants['lipschitz']:.3g}",
            "Lipschitz constant, Hessian": f"{constants['hessian_lipschitz']:.3g}",
        }
    )


def guarantee_facts(content: GuaranteeContent) -> Table:
    """Return the facts of the promise and its data."""
    facts = content.facts
    return _facts(
        {
            "points": facts["n_points"],
            "features": facts["n_features"],
            "classes": " and ".join(map(str, facts["classes"])),
            "λ": f"{facts['penalty']:g}",
            "ε": f"{facts['epsilon']:g}",
            "δ": f"{facts['delta']:g}",
            "models of each kind in every situation": facts["n_draws"],
        }
    )


def guarantees_table(content: GuaranteeContent) -> Table:
    """Return the strongest attack on each method in each situation, and whether the promise was kept."""
    columns = (
        Column("Method and situation"),
        number_column("noise σ", show=amount),
        number_column("difference it hides", show=amount),
        number_column("difference there was", show=amount),
        number_column("TPR − e^ε·FPR − δ", show=_excess),
        number_column(
            "at least", show=_excess, note="lower end at 99.9 % confidence; above 0 the promise is broken"
        ),
        Column("promise"),
    )
    return table_of(columns, [_case(case.told) for case in content.cases])


def _excess(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _case(told: Mapping[str, Any]) -> Row:
    verdict = told["verdict"]
    numbers = (
        *(told[name] for name in ("sigma", "assumed", "actual")),
        verdict["excess"],
        verdict["excess_low"],
    )
    return row_of(
        f"{told['method']}: {told['situation']}", *numbers, promise_cell(is_broken=verdict["is_broken"])
    )


def promise_cell(*, is_broken: bool) -> Cell:
    """Return whether a promise was kept."""
    return Cell(value="broken" if is_broken else "kept", tone=Tone.BAD if is_broken else Tone.GOOD)


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else number(value)


def _facts(facts: Mapping[str, Any]) -> Table:
    """Return named facts as one row, which is faster to read than a list."""
    return table_of([Column(name) for name in facts], [row_of(*(_fact(value) for value in facts.values()))])
