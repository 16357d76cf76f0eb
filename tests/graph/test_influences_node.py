"""The points that the report explains: each shows how much of its margins held-out models confirm."""

from collections.abc import Callable

import numpy as np
import pytest

from jobs.session import Session

Open = Callable[..., Session]


@pytest.mark.usefixtures("finished")
def test_what_the_report_explains_is_scored_on_held_out_models(open_tiny: Open) -> None:
    session = open_tiny()
    found = session.store.read(session.graph.survey(session.store)["influences"].table)
    assert np.isfinite(found["r2"]).all()
    assert (found["r2"] <= 1).all()
