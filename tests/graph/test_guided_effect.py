"""A guided kernel end to end.

The guide has its own factor, and the effect combines guide and kernel.
"""

import numpy as np
from tiny import run_serially

GUIDED = "estimator={name: kernel, guide: {rows: 64, axes: 16}}"


def test_effects_are_drawn_towards_what_scouts_say_and_are_surer(open_tiny):
    plain, guided = open_tiny(), open_tiny(GUIDED)
    assert not run_serially(plain, until="effect").failures
    assert not run_serially(guided, until="effect").failures
    before, after = (
        session.store.read(session.graph.survey(session.store)["effect/wrong"].table)
        for session in (plain, guided)
    )
    assert not np.allclose(before["mean"], after["mean"])
    assert after["standard_error"].mean() < before["standard_error"].mean()


def test_only_effects_read_the_guide_and_the_scouts(open_tiny):
    session = open_tiny(GUIDED)
    assert {"guide", "factor", "fit"} <= set(session.graph.nodes)
    assert "guide" not in open_tiny().graph.nodes
    assert "scout" not in session.graph.nodes["fit"].parents()
    assert {"guide", "scout"} <= set(session.graph.nodes["effect/some"].parents())
