"""Fixtures for the convex study: a few draws, and one small panel of the linear study."""

import pytest
import threadpoolctl
from small_problems import SMALL

from pipeline.studies.convex.linear.linear_results import LinearResult, study_linear
from pipeline.studies.convex.linear.linear_study import LinearExample, LinearStudy
from pipeline.studies.convex.linear.ridge_ensemble import RidgeEnsemble

# The paper's sizes, but fewer draws: what is compared with the paper's figures must be the paper's problem.
FEW = LinearStudy(n_draws=20, n_tuning_draws=3, n_subset_models=300, n_long_steps=4000)


@pytest.fixture(scope="session")
def problems() -> RidgeEnsemble:
    return SMALL.draw(LinearExample(), 4.0, "test", 3)


@pytest.fixture(scope="session")
def weak() -> LinearResult:
    """λ = 4, the penalty at which GD stalls."""
    return panel_at(4.0)


@pytest.fixture(scope="session")
def strong() -> LinearResult:
    """λ = 400, with the long runs."""
    return panel_at(400.0)


def panel_at(penalty: float) -> LinearResult:
    # Two threads that share small matrices with other tests wait for each other most of the time.
    with threadpoolctl.threadpool_limits(1):
        return study_linear(FEW, LinearExample(penalties=(4.0, 400.0)), penalty)
