"""Checks of the scale of inputs.

The initial weights of networks suit inputs of a size of about 1. On inputs of another size networks learn
little, or they diverge.
"""

import math

import numpy as np
import torch

from pipeline.core.errors import DataError
from pipeline.data.examples import Examples
from pipeline.data.inputs import ArrayInputs
from pipeline.training.ensemble import Builder, compute_logits, initial_states
from pipeline.training.feeds import open_feed
from pipeline.training.loop import run_phases
from pipeline.training.populations import trial_descent
from pipeline.training.recipe.recipe import Recipe
from pipeline.training.recipe.schedule import Phase

# Inputs with a root mean square between these limits count as usual. Examples: 0.45 for digits, 1 for
# standardised inputs, 3 if one of ten indicators is set to 10.
_SMALLEST, _LARGEST = 1e-3, 30.0
# Number of points whose squares are in memory at once.
_ROWS = 4096
# Number of points that are checked if inputs are read from files.
SAMPLE = 512
# Number of steps of the trial. Inputs of 1e18 make one hidden layer overflow in the second step.
_TRIAL_STEPS = 6
_REMEDY = (
    "scale them, such as pixels / 255 (dataset.scaling.divide_by=255), or (inputs - mean) / standard "
    "deviation of the training inputs"
)


def scale_notice(examples: Examples) -> str | None:
    """Return a warning with its remedy if the scale of the training inputs is unusual, else None."""
    size = typical_size(examples)
    if _SMALLEST <= size <= _LARGEST:
        return None
    return (
        f"training inputs are of the size {size:.3g} (root mean square), where models expect about 1: "
        f"{_REMEDY}"
    )


def typical_size(examples: Examples) -> float:
    """Return the root mean square of the training inputs, or of a sample if they are not in memory."""
    n_read = examples.n_train if isinstance(examples.inputs, ArrayInputs) else min(examples.n_train, SAMPLE)
    ids = np.linspace(0, examples.n_train - 1, n_read).round().astype(np.int64)
    total, n_numbers = 0.0, n_read * math.prod(examples.input_shape)
    for start in range(0, n_read, _ROWS):
        inputs = examples.inputs_of(ids[start : start + _ROWS])
        # float32 may hold the inputs but not their squares.
        total += float(np.square(inputs, dtype=np.float64).sum())
    return math.sqrt(total / n_numbers)


def check_scale(build: Builder, recipe: Recipe, examples: Examples) -> None:
    """Raise DataError if inputs are so large that one model overflows within the first steps of the recipe.

    The model is trained for these steps, since no bound on the inputs holds for every model. Inputs of a
    usual scale are not tried.
    """
    notice = scale_notice(examples)
    if notice is None:
        return
    points = np.arange(min(recipe.batch_size, examples.n_train))[None]
    descent = trial_descent(recipe, _TRIAL_STEPS, points.shape[1])
    phase = Phase(points=points, objective=recipe.loss(), descent=descent, drop_last=True)
    data, _ = open_feed(examples)
    try:
        with torch.random.fork_rng(devices=[]):
            template = build()
        states = run_phases(template, initial_states(build, [0]), [phase], data, seeds=[0], kind="looped")
        logits = compute_logits(template, states, data.first(points.shape[1]), kind="looped")
    # A user's model may fail in any way. Such a failure has nothing to do with the scale; the trial of the
    # model reports it.
    except Exception:
        return
    if not np.isfinite(logits).all():
        raise DataError(
            f"{notice}; a model trained on them for {_TRIAL_STEPS} steps has outputs that are not finite"
        )
