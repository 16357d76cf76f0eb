"""Estimates the training time of a model from a few steps, before any shard has been made."""

import time

import numpy as np
import torch

from pipeline.data.examples import Examples
from pipeline.training.ensemble import Builder, initial_states
from pipeline.training.feeds import Resident
from pipeline.training.loop import run_phases
from pipeline.training.populations import trial_descent
from pipeline.training.recipe.recipe import Recipe
from pipeline.training.recipe.schedule import Phase

# Largest number of points in a timed step, because a step on a full batch of a large model may take a minute.
_MOST_POINTS = 32


def estimated_seconds(build: Builder, recipe: Recipe, examples: Examples) -> float | None:
    """Return the seconds to train one model alone on this machine's CPU, or None if it cannot be timed.

    Two steps run on a small batch, the first to warm up. The time of the second is scaled to the recipe's
    batches and epochs. A model that fails here cannot be timed.
    """
    batch = min(recipe.batch_size, examples.n_train)
    n_points = min(batch, _MOST_POINTS)
    points = np.arange(n_points)
    inputs = torch.from_numpy(np.array(examples.inputs_of(points), np.float32))
    data = Resident(inputs, torch.from_numpy(np.array(examples.labels[points], np.int64)))
    descent = trial_descent(recipe, 1, n_points)
    phase = Phase(points=points[None], objective=recipe.loss(), descent=descent, drop_last=True)
    # A user's model may raise anything; the shard that trains it reports the error.
    try:
        with torch.random.fork_rng(devices=[]):
            template, states = build(), initial_states(build, [0])
            run_phases(template, states, [phase], data, seeds=[0], kind="looped")
            begun = time.perf_counter()
            run_phases(template, states, [phase], data, seeds=[0], kind="looped")
    except Exception:
        return None
    n_steps = recipe.epochs * max(1, examples.n_train // batch)
    return (time.perf_counter() - begun) * batch / n_points * n_steps
