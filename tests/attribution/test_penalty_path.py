"""The LASSO solvers agree with scikit-learn for each output, each at its own penalty.

They certify how near the minimum they are.
"""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import Lasso, lasso_path

from pipeline.attribution.lasso import coordinate_descent as coordinate
from pipeline.attribution.lasso import penalty_path as module
from pipeline.attribution.lasso.compiled_steps import compiled
from pipeline.attribution.lasso.coordinate_descent import Coordinate
from pipeline.attribution.lasso.penalty_path import Path, fit_path
from pipeline.attribution.lasso.proximal_gradient import Batched
from pipeline.data.masks import subset_mask

SHAPES = [(60, 80), (60, 60), (150, 50)]
SOLVERS = [Coordinate, partial(Batched, exact=True)]
each_solver = pytest.mark.parametrize("solver", SOLVERS, ids=["coordinate", "batched"])
NEVER = 99


def problem(n_models=150, n_train=50, n_outputs=10, noise=1.0, seed=0):
    """Return masks and outputs with a few large weights, many small ones and an offset."""
    rng = np.random.default_rng(seed)
    masks = np.stack([subset_mask(n_train, 0.5, 1000 * seed + model) for model in range(n_models)])
    weights = rng.permuted(
        np.sign(rng.normal(size=(n_train, n_outputs))) / np.arange(1, n_train + 1)[:, None], axis=0
    )
    return masks, (masks @ weights + 5 + noise * 0.5 * rng.normal(size=(n_models, n_outputs))).astype(
        np.float32
    )


def heldout_of(n_models):
    return np.arange(n_models) >= n_models * 4 // 5


def solve(masks, outputs, solver=Coordinate, smallest=0.05, n_penalties=8, **path):
    return fit_path(
        solver(masks, heldout_of(len(masks))),
        masks,
        outputs,
        Path(smallest=smallest, n_penalties=n_penalties, **path),
    )


def true_gap(masks, outputs, found):
    """Return the relative duality gaps by their definition, in float64 and from the masks themselves."""
    n_models, y = len(masks), outputs.astype(np.float64) - outputs.mean(axis=0, dtype=np.float64)
    x, weights = masks - masks.mean(axis=0), found.weights.T.astype(np.float64)
    residuals = y - x @ weights
    primal = (residuals**2).sum(axis=0) / (2 * n_models) + found.penalty * np.abs(weights).sum(axis=0)
    limit = n_models * found.penalty / np.abs(x.T @ residuals).max(axis=0)
    dual = np.clip((y * residuals).sum(axis=0) / (residuals**2).sum(axis=0), -limit, limit) * residuals
    value = ((y**2).sum(axis=0) - ((y - dual) ** 2).sum(axis=0)) / (2 * n_models)
    return (primal - value) / ((y**2).sum(axis=0) / (2 * n_models))


@each_solver
@pytest.mark.parametrize("shape", SHAPES)
def test_each_output_equals_scikit_learns_at_its_own_penalty(shape, solver):
    masks, outputs = problem(*shape)
    found = solve(masks, outputs, solver, tolerance=1e-6)
    assert len(np.unique(found.penalty)) == outputs.shape[1]
    for output in range(outputs.shape[1]):
        theirs = Lasso(alpha=found.penalty[output], tol=1e-8, max_iter=100_000).fit(
            masks.astype(float), outputs[:, output].astype(float)
        )
        assert found.weights[output] == pytest.approx(
            theirs.coef_, abs=0.01 * float(np.abs(theirs.coef_).max())
        )
        predicted = masks @ found.weights[output] + found.intercept[output]
        assert predicted == pytest.approx(
            theirs.predict(masks.astype(float)), abs=0.01 * float(outputs[:, output].std())
        )


@each_solver
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_the_gap_certifies(solver, tolerance):
    masks, outputs = problem(*SHAPES[1])
    found = solve(masks, outputs, solver, tolerance=tolerance)
    assert found.gap.max() <= tolerance
    assert found.gap == pytest.approx(true_gap(masks, outputs, found), abs=0.1 * tolerance)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_sets_of_points_and_sweeps_over_all_find_the_same(shape, share, monkeypatch):
    masks, outputs = problem(*shape)
    usual = solve(masks, outputs, tolerance=1e-5)
    monkeypatch.setattr(coordinate, "OWN_SET", share)
    other = solve(masks, outputs, tolerance=1e-5)
    assert np.array_equal(other.position, usual.position)
    assert other.weights == pytest.approx(usual.weights, abs=0.02 * float(np.abs(usual.weights).max()))


@each_solver
def test_the_largest_penalty_is_the_least_that_leaves_no_weight(solver):
    masks, outputs = problem()
    left_in = ~heldout_of(len(masks))
    chunk = solver(masks, ~left_in).on_path(outputs)
    x, y = (
        masks[left_in] - masks[left_in].mean(axis=0),
        outputs[left_in] - outputs[left_in].mean(axis=0, dtype=np.float64),
    )
    largest = np.abs(x.T @ y).max(axis=0) / left_in.sum()
    assert chunk.largest() == pytest.approx(largest, rel=1e-5)
    chunk.solve(1.001 * largest, largest, 1e-6)
    assert not chunk.weights().any()
    chunk.solve(0.99 * largest, largest, 1e-6)
    assert chunk.weights().any(axis=1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_penalty_is_the_one_scikit_learn_finds_best_on_models_left_out(shape):
    masks, outputs = problem(*shape, n_outputs=20)
    found = solve(masks, outputs, patience=NEVER)
    out = heldout_of(len(masks))
    x, y = masks[~out].astype(float), outputs[~out].astype(float)
    x, y, unseen, actual = (
        x - x.mean(axis=0),
        y - y.mean(axis=0),
        masks[out] - x.mean(axis=0),
        outputs[out] - y.mean(axis=0),
    )
    best = []
    for output in range(20):
        penalties = np.abs(x.T @ y[:, output]).max() / len(x) * Path(smallest=0.05, n_penalties=8).ratios()
        _, weights, _ = lasso_path(x, y[:, output], alphas=penalties, tol=1e-6, max_iter=100_000)
        errors = ((unseen @ weights - actual[:, output, None]) ** 2).mean(axis=0)
        best.append(errors.argmin())
        assert errors[found.position[output]] <= errors.min() * 1.002
        assert found.error[output] == pytest.approx(errors.min(), rel=0.01)
    assert (found.position == best).mean() >= 0.9


def test_a_path_that_stops_chooses_what_the_whole_path_would():
    masks, outputs = problem(n_outputs=100)
    whole, stopped = (
        solve(masks, outputs, n_penalties=20, smallest=0.01, patience=patience) for patience in (NEVER, 3)
    )
    assert (stopped.position == whole.position).mean() >= 0.9
    assert np.median(stopped.error / whole.error) == pytest.approx(1, abs=1e-3)


@each_solver
def test_no_output_is_solved_at_anothers_penalty(solver, monkeypatch):
    """The trap of outputs that finish early.

    Alone, in another order or in small chunks each has the same answer.
    """
    masks, outputs = problem(n_outputs=5)
    together = solve(masks, outputs, solver, tolerance=1e-5)
    alone = [solve(masks, outputs[:, [output]], solver, tolerance=1e-5) for output in range(5)]
    monkeypatch.setattr(module, "_CHUNK", 3)
    turned = solve(masks, outputs[:, ::-1], solver, tolerance=1e-5)
    assert np.concatenate([part.penalty for part in alone]) == pytest.approx(together.penalty, rel=1e-5)
    assert turned.penalty[::-1] == pytest.approx(together.penalty, rel=1e-5)
    assert np.concatenate([part.weights for part in alone]) == pytest.approx(together.weights, abs=0.01)
    assert turned.weights[::-1] == pytest.approx(together.weights, abs=0.01)


@each_solver
def test_what_never_varies_has_no_weight(solver):
    masks, outputs = problem()
    masks[:, 3], masks[:, 8] = True, False
    outputs[:, 2] = 0.1
    outputs[:120, 5] = 7.3
    found = solve(masks, outputs, solver)
    assert not found.weights[:, [3, 8]].any()
    assert not found.weights[2].any()
    assert (found.intercept[2], found.gap[2]) == (pytest.approx(0.1), 0)
    assert all(np.isfinite(getattr(found, name)).all() for name in ("weights", "penalty", "gap", "error"))
    assert found.gap.max() <= 1e-4


def test_loops_compile_where_nothing_can_be_kept():
    """As in a read-only install for a user without a home.

    Code that comes from no file has no place for a cache either.
    """
    assert compiled(eval("lambda number: number + 1"))(2) == 3
