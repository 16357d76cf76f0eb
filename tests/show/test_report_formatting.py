"""Numbers have as many digits as the measurement supports."""

import math

import pytest

from pipeline.results import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.618, "0.62"), (9.94, "9.94"), (9.96, "10.0"), (11.513, "11.5"), (math.nan, "n/a"), (math.inf, "n/a")],
)
def test_nats(value, text):
    assert formatting.nats(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0%"),
        (0.00004, "0.004%"),
        (0.0036, "0.4%"),
        (0.0183, "1.8%"),
        (0.33, "33%"),
        (1.0, "100%"),
        (3.21, "3.2×"),
        (1000.08, "1,000×"),
        (math.nan, "n/a"),
    ],
)
def test_percent(fraction, text):
    assert formatting.percent(fraction) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "no training"), (0.018, "1.8% of one retraining"), (333.4, "333 retrainings")],
)
def test_costs_in_words(fraction, text):
    assert formatting.of_retraining(fraction) == text


@pytest.mark.parametrize(
    ("value", "floor", "text"), [(0.9, 0.6, "1.5×"), (11.5, 0.6, "19×"), (1.0, 0.0, ""), (math.nan, 0.6, "")]
)
def test_times_the_floor(value, floor, text):
    assert formatting.times_floor(value, floor) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0123, "+1.2"), (-0.02, "−2.0"), (0.0004, "±0"), (-0.0004, "±0"), (math.nan, "n/a")],
)
def test_differences_of_accuracy(difference, text):
    assert formatting.points(difference) == text


@pytest.mark.parametrize(("seconds", "text"), [(51.2, "51 s"), (512.0, "9 min"), (9000.0, "2.5 h")])
def test_durations(seconds, text):
    assert formatting.duration(seconds) == text


def test_settings_are_said_by_name_and_switches_by_whether_they_are_on():
    said = formatting.sentence(
        {"name": "logistic", "zero_init": True, "bias": False, "width": 8, "seed": None}
    )
    assert said == "logistic, zero init, no bias, width 8"


def test_only_settings_that_play_a_part_are_named():
    recipe = {"epochs": 3, "flip": False, "adam_rate_share": 0.1, "precision": "bfloat16", "momentum": 0.0}
    identity = {"precision": "bfloat16", "momentum": 0.0}
    assert list(formatting.in_use(recipe, identity, always=("epochs",))) == [
        "epochs",
        "precision",
        "momentum",
    ]
    assert list(formatting.in_use(recipe, identity)) == ["epochs", "adam_rate_share", "precision", "momentum"]
