"""The results of an experiment as one table, which the terminal and MLflow's notes share."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from pipeline.show.tables import (
    Cell,
    Row,
    Section,
    Table,
    Tone,
    mark_best,
    number_column,
    row_of,
    word_column,
)

SPLITS = ("forget", "retain", "validation")
# A KLoM is shaded by how many floors it is: up to 1.5 not at all, above 10 most.
SHADES = (1.5, 2.5, 5.0, 10.0)


def is_at_floor(value: float, floor: float) -> bool:
    """Say whether a P95 KLoM cannot be told from the floor: two floors differ by up to half."""
    return value <= floor + max(0.5 * floor, 0.1)


def shade(value: float, floor: float) -> int:
    """Return how dark a KLoM is shown, 0 to 4, by its ratio to the floor; .1 nats above it is none."""
    if math.isnan(value):
        return len(SHADES)
    return 0 if value <= floor + 0.1 else sum(value > bound * floor for bound in SHADES)


def nonfinite_note(n_nonfinite: int) -> tuple[str, ...]:
    """Return the small print on margins that are not finite, nothing where all are."""
    return (f"⚠ {n_nonfinite:,} margins not finite",) if n_nonfinite else ()


def results_table(rows: Sequence[Mapping[str, Any]], *, bounds: Collection[str] = ()) -> Table:
    """Return the results, a section for each forget set, with the best of each column marked.

    rows are those of stages.results.result_row, rows of one forget set together. bounds: labels of unlearners
    that need true oracles; they are never marked.
    """
    klom = [number_column(split, digits=2, group="P95 KLoM", better="lower") for split in SPLITS]
    columns = (
        word_column("unlearner"),
        *klom,
        number_column("accuracy", digits=2, better="nearer"),
        number_column("cost", digits=3),
    )
    sections = [
        Section(title=label, rows=tuple(_row(one, one["unlearner"] not in bounds) for one in members))
        for label, members in groupby(rows, key=lambda one: str(one["forget_set"]))
    ]
    notes = (
        "KLoM: 95th percentile over points, in nats; in brackets the noise floor, which is "
        "what independent oracles score against each other. Green or ✓: at the floor; 11.51 is the worst.",
        "Accuracy: on the forget set, in brackets the oracles'. Cost: of one request, in retrainings.",
    )
    made = Table(columns=columns, sections=tuple(sections), section_heading="forget set", notes=notes)
    return mark_best(made)


def _row(one: Mapping[str, Any], competes: bool) -> Row:
    klom = [_klom(one[split], one["floor"][split]) for split in SPLITS]
    accuracy = Cell(value=one["accuracy"]["forget"], reference=one["oracle_accuracy"]["forget"])
    label = Cell(value=one["unlearner"], under=nonfinite_note(one["n_nonfinite"]))
    return row_of(label, *klom, accuracy, one["cost"]["fraction"], competes=competes)


def _klom(value: float, floor: float) -> Cell:
    tone = Tone.GOOD if is_at_floor(value, floor) else Tone.NEUTRAL
    return Cell(value=value, reference=floor, tone=tone, shade=shade(value, floor))
