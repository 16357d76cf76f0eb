"""Unlearners start from the models of a role, and judges compare with them.

These models are planned, and missing ones are refused first.
"""

from collections.abc import Callable
from typing import Any

import pytest
from tiny import TINY, all_done, run_serially

from jobs.session import Session
from pipeline.core.errors import ConfigError

Open = Callable[..., Session]
FEW: dict[str, Any] = {
    "forget_sets": {"some": {"name": "random", "n_points": 5}},
    "unlearners": {"ascent": {"name": "gradient_ascent", "epochs": 1}},
}
WEIGHTS = {"name": "outside_judges:Weights"}


@pytest.mark.parametrize("role", ["scout", "oracle"])
def test_a_judge_compares_with_the_role_that_it_names(open_tiny: Open, role: str) -> None:
    few = "populations.full.n_models=2", "populations.oracle.n_models=2", "populations.floor.n_models=2"
    session = open_tiny(*few, **FEW, judges={"w": WEIGHTS | {"start": role}})
    assert all_done(run_serially(session))


def test_a_judge_that_reads_weights_that_are_not_kept_is_refused_first(open_tiny: Open) -> None:
    own = {"unlearners": {"late": {"name": "no_op", "start": "oracle"}}}
    with pytest.raises(
        ConfigError,
        match=(
            r"judges.w compares with populations.full, whose weights are not kept; set populations.full.keep"
        ),
    ):
        open_tiny(
            "populations.full.keep_states=false", **FEW | own, judges={"w": WEIGHTS | {"start": "full"}}
        )


STARTS = {"unlearners": {"nothing": {"name": "no_op", "start": "designed"}}}


def test_unlearning_starts_from_designed_models_without_attribution(open_tiny: Open) -> None:
    session = open_tiny("populations.designed.keep_states=true", **FEW | STARTS)
    keys = set(session.graph.nodes)
    assert {"train/scout", "groups", "train/designed"} <= keys
    assert not {"train/subset", "fit", "views"} & keys
    assert all_done(run_serially(session))


def rows_and_names(session: Session) -> tuple[dict[str, float], set[str]]:
    """Return the retrainings of each row of the report, and the names of the tables that it reads."""
    report = session.graph.nodes["report"]
    return {row.role: row.retrainings for row in report.populations}, set(report.tables)


@pytest.mark.parametrize("start", ["designed", "scout"])
def test_the_report_counts_models_that_are_only_started_from(open_tiny: Open, start: str) -> None:
    own = {"unlearners": {"nothing": {"name": "no_op", "start": start}}}
    rows, _ = rows_and_names(open_tiny("populations.designed.keep_states=true", **FEW | own))
    started = {"designed": {"designed": 10 * 0.7, "scout": 2}, "scout": {"scout": 2}}[start]
    assert {role: cost for role, cost in rows.items() if role not in ("full", "oracle", "floor")} == started


def test_with_a_proxy_the_report_reads_the_time_of_every_population(open_tiny: Open) -> None:
    populations = TINY["populations"] | {"focused": {"n_models": 4, "keep_fraction": 0.5}}
    scout = {"n_models": 2, "model": {"name": "mlp", "width": 4}}
    few = {"forget_sets": FEW["forget_sets"]}
    rows, names = rows_and_names(open_tiny(**few, populations=populations | {"scout": scout}))
    timed = {
        name.removeprefix("population/").split("/")[0] for name in names if name.startswith("population/")
    }
    assert timed | {"full", "oracle"} == set(rows)
    _, names = rows_and_names(open_tiny(**few, populations=populations))
    assert not [name for name in names if name.startswith("population/")]
