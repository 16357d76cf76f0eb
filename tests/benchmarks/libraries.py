"""Libraries that solve the LASSO path of one output, for the race in solvers.py.

Each library gets what its outputs can share.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.linear_model import lasso_path

# Weights (n_penalties, n_train) at falling penalties of one output, from a start.
Solve = Callable[["Centred", np.ndarray, np.ndarray, float, "np.ndarray | None"], np.ndarray]


@dataclass(frozen=True)
class Centred:
    """Masks and outputs less their means, in float64 and in the memory order that suits libraries best."""

    masks: np.ndarray
    outputs: np.ndarray

    @cached_property
    def gram(self) -> np.ndarray:
        """The Gram matrix of the masks."""
        return np.ascontiguousarray(self.masks.T @ self.masks)


def by_gram(
    data: Centred, y: np.ndarray, penalties: np.ndarray, tolerance: float, start: np.ndarray | None
) -> np.ndarray:
    """Solve with scikit-learn and the Gram matrix that all outputs share."""
    settings = {"precompute": data.gram, "Xy": data.masks.T @ y, "check_input": False}
    return lasso_path(
        data.masks, y, alphas=penalties, tol=tolerance, coef_init=start, max_iter=100_000, **settings
    )[1].T


def by_columns(
    data: Centred, y: np.ndarray, penalties: np.ndarray, tolerance: float, start: np.ndarray | None
) -> np.ndarray:
    """Solve with scikit-learn on the masks themselves."""
    return lasso_path(
        data.masks, y, alphas=penalties, precompute=False, tol=tolerance, coef_init=start, max_iter=100_000
    )[1].T


def by_celer(
    data: Centred, y: np.ndarray, penalties: np.ndarray, tolerance: float, start: np.ndarray | None
) -> np.ndarray:
    """Solve with celer's path."""
    from celer import celer_path

    return celer_path(
        data.masks,
        y,
        "lasso",
        alphas=penalties,
        tol=tolerance,
        coef_init=start,
        max_iter=100,
        max_epochs=100_000,
    )[1].T


def by_skglm(
    data: Centred, y: np.ndarray, penalties: np.ndarray, tolerance: float, start: np.ndarray | None
) -> np.ndarray:
    """Solve with skglm's Anderson-accelerated working sets."""
    from skglm import Lasso

    model, found = (
        Lasso(fit_intercept=False, warm_start=True, tol=tolerance, max_iter=200, max_epochs=100_000),
        [],
    )
    if start is not None:
        model.coef_ = start
    for penalty in penalties:
        found.append(model.set_params(alpha=penalty).fit(data.masks, y).coef_.copy())
    return np.stack(found)


def libraries() -> dict[str, Solve]:
    """Return how each installed library solves one output.

    scikit-learn on float32 stalls above a gap of 1e-4, so it is not among them.
    """
    extra: dict[str, Solve] = {"celer": by_celer, "skglm": by_skglm}
    return {"sklearn_gram": by_gram, "sklearn": by_columns} | {
        name: solve for name, solve in extra.items() if importlib.util.find_spec(name)
    }


def library_lds(
    weights: np.ndarray, masks: np.ndarray, actual: np.ndarray
) -> dict[str, Callable[[], np.ndarray]]:
    """Return how dattri scores weights (n_train, n_targets); nothing if it is not installed.

    All subsets keep equally many points.
    """
    if importlib.util.find_spec("dattri") is None:
        return {}
    import torch
    from dattri.metric import lds

    kept = torch.from_numpy(np.stack([np.flatnonzero(mask) for mask in masks]))
    given = torch.from_numpy(weights), (torch.from_numpy(actual), kept)
    return {"dattri": lambda: lds(*given)[0].numpy()}
