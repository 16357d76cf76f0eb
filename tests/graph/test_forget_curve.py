"""The forget curve, which shows the quality of forgetting against the number of models.

Its last points equal the verdicts on DM-Direct, with and without a guide, and the score does not wait for it.
"""

import numpy as np
import pytest
from tiny import TINY, run_serially, statuses

from pipeline.graph.nodes.evaluate import read_judged

GUIDED = "estimator={name: kernel, guide: {rows: 64, axes: 16}}"
DIRECT = {"unlearners": {"nothing": "no_op", "direct": "dm_direct"}}


@pytest.mark.parametrize("estimator", ["estimator=kernel", GUIDED], ids=["kernel", "guided"])
def test_its_last_points_are_the_verdicts_on_predictions_and_on_nothing(open_tiny, estimator):
    session = open_tiny(estimator, **DIRECT)
    assert not run_serially(session, until="evaluate").failures
    states = session.graph.survey(session.store)
    columns = session.store.read(states["forget_curve"].table)
    assert columns["n_models"].tolist() == [6, 8, 15, 30]
    for number, label in enumerate(TINY["forget_sets"]):
        for name, column in (("direct", f"set_{number}"), ("nothing", f"nothing_{number}")):
            judged = read_judged(session.store, states[f"evaluate/klom/{name}/{label}"].table)
            assert columns[column][-1] == pytest.approx(judged.scores.get("p95", "forget").value)


def test_a_share_of_all_models_is_fitted_as_the_effect_is(open_tiny, monkeypatch):
    session = open_tiny(GUIDED, **DIRECT)
    monkeypatch.setattr("pipeline.graph.nodes.forget_curve.SHARES", (1 - 1e-9, 1.0, 1.0, 1.0))
    assert not run_serially(session, until="evaluate").failures
    columns = session.store.read(session.graph.survey(session.store)["forget_curve"].table)
    assert all(np.isclose(values[0], values[1], rtol=1e-3) for name, values in columns.items())


def test_the_score_and_its_curve_do_not_wait_for_oracles(open_tiny):
    session = open_tiny(**DIRECT)
    run_serially(session, until="score")
    found = statuses(session)
    assert found["curve"] == "done"
    assert found["forget_curve"] == "waiting"
    assert not [key for key in session.graph.nodes["curve"].parents().values() if "oracle" in key.key]


@pytest.mark.parametrize(
    "override",
    [
        "populations.focused={n_models: 4}",
        "populations.heldout=null",
        "estimator=influence",
        "judges={accuracy: {}}",
    ],
)
def test_it_is_left_out_where_models_are_not_counted_or_nothing_is_scored(open_tiny, override):
    assert "forget_curve" not in open_tiny(override, **DIRECT).graph.nodes
