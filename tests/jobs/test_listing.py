"""The plan as the terminal shows it."""

from collections.abc import Callable
from typing import Any

import pytest

from jobs.commands.plan import show_plan
from jobs.options import plain_console
from jobs.running import planning
from jobs.session import Session

Open = Callable[..., Session]


@pytest.fixture
def plan(open_tiny: Open) -> dict[str, Any]:
    return planning.planned_work(open_tiny())


@pytest.mark.parametrize(
    ("retrainings", "n_models", "words"),
    [
        (0.0, 0, "No model is left to train or to unlearn."),
        (0.0, 1200, "No model is left to train. Models left to unlearn: 1,200."),
        (0.01, 0, "To train: less than 0.1 models on all points."),
        (383.94, 30, "To train: as much as 383.9 models on all points, and 30 models to unlearn."),
    ],
)
def test_the_plan_says_what_is_left(
    plan: dict[str, Any], capsys: pytest.CaptureFixture[str], retrainings: float, n_models: int, words: str
) -> None:
    show_plan(plan | {"retrainings": retrainings, "models_to_unlearn": n_models}, plain_console(width=160))
    assert words in capsys.readouterr().out


def test_a_plan_counts_the_models_to_unlearn(plan: dict[str, Any]) -> None:
    assert plan["models_to_unlearn"] == 3 * 2 * 6
