"""Invented content with realistic numbers: digits, three forget sets, six unlearners."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.scores import NONFINITE, SPLITS, Score, Scores
from pipeline.results.attribution_content import PointContent
from pipeline.results.payback import break_even
from pipeline.results.report_content import (
    AttributionContent,
    Cost,
    DatasetContent,
    MethodRow,
    PopulationContent,
    Report,
    SetContent,
)

N_MODELS = 40
FLOOR = (0.62, 0.58, 0.60)
JUDGES = {"klom": KlomJudge(), "accuracy": AccuracyJudge()}
OF_ORACLES = {"forget": 0.58, "retain": 0.999, "validation": 0.971}
# needs, moves weights, cost of a request
KINDS: dict[str, tuple[frozenset[str], bool, float]] = {
    "no_op": (frozenset(), False, 0.0),
    "dm_direct": (frozenset({"effect"}), False, 0.0),
    "dmm": (frozenset({"effect"}), True, 0.082),
    "oracle_matching": (frozenset({"oracle"}), True, 0.082),
    "gradient_ascent": (frozenset(), True, 0.0036),
    "finetune": (frozenset(), True, 0.33),
}
# P95 on forget, retain, validation
COHERENT = {
    "no_op": (9.31, 0.63, 1.26),
    "dm_direct": (1.24, 0.61, 0.74),
    "dmm": (0.81, 0.88, 0.72),
    "oracle_matching": (0.79, 1.94, 0.70),
    "gradient_ascent": (8.72, 4.11, 5.20),
    "finetune": (8.95, 0.71, 1.02),
}
MISLABELLED = {
    "no_op": (8.81, 6.02, 9.60),
    "dm_direct": (6.10, 2.9, 2.30),
    "dmm": (6.31, 2.45, 2.16),
    "oracle_matching": (0.83, 1.31, 0.84),
    "gradient_ascent": (11.51, 11.51, 11.51),
    "finetune": (8.42, 4.40, 6.60),
}
RANDOM = {
    "no_op": (0.71, 0.60, 0.62),
    "dm_direct": (0.66, 0.59, 0.61),
    "dmm": (0.68, 0.74, 0.63),
    "oracle_matching": (0.64, 1.20, 0.62),
    "gradient_ascent": (2.43, 0.92, 0.81),
    "finetune": (0.93, 0.66, 0.64),
}


def klom_of(
    p95: tuple[float, float, float], n_nonfinite: int = 0, floor: tuple[float, ...] = FLOOR
) -> Scores:
    """Return what KLoM says where these are the P95 on the three splits."""
    placed = [(split, value, reference) for split, value, reference in zip(SPLITS, p95, floor, strict=True)]
    rows = [
        Score(
            statistic="p95",
            split=split,
            value=value,
            interval=(0.86 * value, min(1.17 * value, 11.51)),
            reference=reference,
            unit="nats",
        )
        for split, value, reference in placed
    ]
    rows += [
        Score(statistic="mean", split=split, value=0.55 * value, reference=0.36, unit="nats")
        for split, value, _ in placed
    ]
    return Scores(rows=tuple(rows), counts={NONFINITE: n_nonfinite})


def accuracy_of(share: float) -> Scores:
    """Return accuracies of a method that is this share of the way from retraining to nothing."""
    values = {"forget": 0.55 + 0.35 * share, "retain": 0.999, "validation": 0.972 - 0.02 * share}
    rows = [
        Score(
            statistic="accuracy",
            split=split,
            value=value,
            reference=OF_ORACLES[split],
            better="nearer",
            unit="fraction",
        )
        for split, value in values.items()
    ]
    return Scores(rows=tuple(rows))


def row_of(
    kind: str,
    p95: tuple[float, float, float],
    n_points: int = 4,
    *,
    n_nonfinite: int = 0,
    floor: tuple[float, ...] = FLOOR,
    **fields: Any,
) -> MethodRow:
    """Return a row of a known kind from its P95 on the three splits; further fields replace those made up."""
    needs, moves_weights, fraction = KINDS[kind]
    rng = np.random.default_rng(len(kind))
    share = min(max(p95[0] - FLOOR[0], 0.0) / 8.4, 1.2)
    oracle_mean = fields.pop("oracle_mean", 0.4)
    made: dict[str, Any] = {
        "label": kind,
        "plugin": kind,
        "needs": needs,
        "moves_weights": moves_weights,
        "scores": {"klom": klom_of(p95, n_nonfinite, floor), "accuracy": accuracy_of(share)},
        "cost": Cost(
            samples=21_000 * fraction,
            fraction=fraction,
            amortised_fraction=fraction + (333.0 if "effect" in needs else 0.0),
        ),
        "points": p95[0] * rng.uniform(0.3, 1.05, n_points),
        "margins": rng.normal(oracle_mean + (8 - oracle_mean) * share, 1.3, (N_MODELS, n_points)),
    }
    return MethodRow(**(made | fields))


def points_of(
    ids: np.ndarray, labels: np.ndarray, true_labels: np.ndarray | None, images: np.ndarray | None
) -> tuple[PointContent, ...]:
    """Return training points; images are (n_points, height, width), with channels behind if coloured."""
    true_labels = labels if true_labels is None else true_labels
    return tuple(
        PointContent(
            id=int(index),
            split="training",
            label=str(given) if given == true else f"{given} → {true}",
            is_flipped=bool(given != true),
            image=None if images is None else images[place],
        )
        for place, (index, given, true) in enumerate(zip(ids, labels, true_labels, strict=True))
    )


def set_of(
    p95: Mapping[str, tuple[float, float, float]],
    n_points: int = 4,
    *,
    floor: tuple[float, ...] = FLOOR,
    **fields: Any,
) -> SetContent:
    """Return a forget set from the P95 of each row; further fields replace those made up."""
    rng = np.random.default_rng(n_points)
    made: dict[str, Any] = {
        "label": "coherent",
        "plugin": "coherent",
        "forgotten": points_of(
            fields.pop("ids", 11 * np.arange(n_points) + 7),
            fields.pop("labels", np.arange(n_points) % 10),
            fields.pop("true_labels", None),
            fields.pop("images", None),
        ),
        "judges": JUDGES,
        "floor": {"klom": klom_of(floor, floor=floor), "accuracy": accuracy_of(0.0)},
        "before": rng.normal(8, 1.2, (N_MODELS, n_points)),
        "oracle": rng.normal(0.4, 1.4, (N_MODELS, n_points)),
        "points_title": "KLoM",
        "rows": tuple(row_of(kind, values, n_points, floor=floor) for kind, values in p95.items()),
    }
    return SetContent(**(made | fields))


def report_of(*sets: SetContent, **fields: Any) -> Report:
    """Return a report on sets; further fields replace those made up."""
    made: dict[str, Any] = {
        "title": "Unlearning handwritten digits",
        "dataset": DatasetContent(
            name="digits", n_train=1400, n_validation=397, n_classes=10, n_mislabelled=30
        ),
        "model": "mlp of width 128",
        "recipe": "15 epochs of SGD, batch 64, learning rate 0.2, momentum 0.9, weight decay 0.0005",
        "populations": (
            PopulationContent(
                role="subset", n_models=2000, points_kept=700, retrainings=1000.0, seconds=512.0
            ),
            PopulationContent(role="full", n_models=100, points_kept=1400, retrainings=100.0, seconds=51.0),
            PopulationContent(role="oracle/coherent", n_models=100, points_kept=1385, retrainings=98.9),
        ),
        "attribution": AttributionContent(
            estimator="ridge",
            penalty="leave-one-out",
            r2=0.31,
            n_models=2000,
            lds=0.412,
            lds_interval=(0.397, 0.428),
        ),
        "sets": sets,
        "break_even": break_even(1000.0, 0.082),
        "config_yaml": "dataset:\n  name: digits\nmodel: {name: mlp, width: 128}\n",
        "provenance": (
            ("host", "two-cores"),
            ("numpy", "2.4.6"),
            ("store", "runs"),
            ("fingerprint", "1f3a09bc77aa0142"),
        ),
    }
    return Report(**(made | fields))


@pytest.fixture
def make_row() -> Callable[..., MethodRow]:
    """Return the maker of rows."""
    return row_of


@pytest.fixture
def make_set() -> Callable[..., SetContent]:
    """Return the maker of forget sets."""
    return set_of


@pytest.fixture
def make_report() -> Callable[..., Report]:
    """Return the maker of reports."""
    return report_of


@pytest.fixture(scope="session")
def report() -> Report:
    """Return a report on three sets of digits: coherent, mislabelled and random."""
    images, labels = load_digits().images, load_digits().target
    eights, flipped, some = np.flatnonzero(labels == 8)[:15], np.arange(200, 230), np.arange(60, 80)
    coherent = set_of(
        COHERENT, 15, ids=eights, labels=labels[eights], true_labels=labels[eights], images=images[eights]
    )
    diverged = row_of(
        "gradient_ascent",
        MISLABELLED["gradient_ascent"],
        30,
        n_nonfinite=1740,
        margins=np.full((N_MODELS, 30), np.nan),
    )
    rows = tuple(
        diverged if kind == diverged.label else row_of(kind, p95, 30) for kind, p95 in MISLABELLED.items()
    )
    wrong = (labels[flipped] + 3) % 10
    mislabelled = set_of(
        {},
        30,
        label="mislabelled",
        ids=flipped,
        labels=wrong,
        true_labels=labels[flipped],
        images=images[flipped],
        rows=rows,
    )
    rows = tuple(row_of(kind, p95, 20, oracle_mean=7.7) for kind, p95 in RANDOM.items())
    near = np.random.default_rng(3).normal(7.7, 1.3, (N_MODELS, 20))
    random = set_of(
        {},
        20,
        label="random",
        plugin="random",
        ids=some,
        labels=labels[some],
        images=images[some],
        oracle=near,
        rows=rows,
    )
    return report_of(coherent, mislabelled, random)
