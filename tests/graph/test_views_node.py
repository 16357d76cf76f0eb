"""Estimators that need views get them from a node and are scored like all others."""

from collections.abc import Callable

import numpy as np
import pytest
from tiny import all_done, run_serially, statuses

from jobs.session import Session
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.graph.nodes.fit import Fit

Open = Callable[..., Session]


@pytest.mark.parametrize("estimator", ["local", "combined"])
def test_estimators_that_need_views_run_from_data_to_verdict(open_tiny: Open, estimator: str) -> None:
    session = open_tiny(f"estimator={estimator}")
    progress = run_serially(session, until="evaluate")
    assert all_done(progress)
    states = progress.states
    views = session.store.read(states["views"].table)
    assert len(views["features"]) == session.examples.n_points
    assert np.array_equal(views["label"], session.examples.labels)
    assert -1 <= session.store.summary(states["score"].table)["lds"] <= 1


def test_only_those_who_need_views_have_them_made(open_tiny: Open) -> None:
    assert "views" not in open_tiny().graph.nodes
    uniform = open_tiny("estimator=local", "populations.designed=null")
    assert "views" in uniform.graph.nodes
    assert "groups" not in uniform.graph.nodes


def test_a_fit_is_stale_when_a_part_of_its_estimator_changed(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_serially(open_tiny("estimator=combined"), until="fit")
    monkeypatch.setattr(GroupKernel, "revision", GroupKernel.revision + 1)
    session = open_tiny("estimator=combined")
    assert isinstance(session.graph.nodes["fit"], Fit)
    assert statuses(session)["factor"] == "stale"
