"""Populations: many models of one recipe that differ only in mask and seed.

Member i is derived from its purpose and i, never drawn in order.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from pipeline.core.arrays import Indices, Masks
from pipeline.core.errors import ConfigError, PipelineError, PluginError, is_out_of_memory, placed
from pipeline.core.registry import plugin_name
from pipeline.core.seeds import seed
from pipeline.data.masks import focused_mask, retain_mask, subset_mask
from pipeline.data.nested_groups import Lines, designed_mask
from pipeline.training import sizing
from pipeline.training.ensemble import Builder, Kind, States, initial_states, why_not_stackable
from pipeline.training.feeds import Feed
from pipeline.training.loop import run_phases
from pipeline.training.recipe.augmentation import Augmentation
from pipeline.training.recipe.recipe import Recipe
from pipeline.training.recipe.schedule import Descent, Phase
from pipeline.training.trial import check_model_outputs, check_parameters, check_step

# Members and steps timed when `auto` chooses: about a second for slow models, far less for small ones.
TRIAL_MEMBERS, _TRIAL_STEPS, TRIAL_RUNS = 25, 6, 3


def member_masks(
    purpose: str,
    members: range,
    *,
    n_train: int,
    keep_fraction: float | None,
    forget: Indices | None,
    lines: Lines | None = None,
    keeps_forget: bool = False,
) -> Masks:
    """Return the masks (n_members, n_train) of members.

    With keep_fraction, they are random subsets of that fraction; with lines as well, such subsets drop whole
    groups. With forget, they are all points except forget. With both keep_fraction and forget, they are that
    fraction of the points outside forget, plus forget if keeps_forget is true. With neither, they are all
    points.
    """
    if keep_fraction is not None and forget is not None:
        drawn = [
            focused_mask(
                n_train, keep_fraction, forget, seed(purpose, "mask", member), keeps_forget=keeps_forget
            )
            for member in members
        ]
        return np.stack(drawn)
    if keep_fraction is not None and lines is not None:
        return np.stack(
            [designed_mask(lines, keep_fraction, seed(purpose, "mask", member)) for member in members]
        )
    if keep_fraction is not None:
        return np.stack(
            [subset_mask(n_train, keep_fraction, seed(purpose, "mask", member)) for member in members]
        )
    mask = np.ones(n_train, bool) if forget is None else retain_mask(n_train, forget)
    return np.broadcast_to(mask, (len(members), n_train))


def train_members(
    build: Builder, recipe: Recipe, data: Feed, *, masks: Masks, seeds: Sequence[int], kind: Kind
) -> States:
    """Return the states of members trained from new initialisations on the points that their masks keep.

    Members of one seed start alike and visit the points they share in the same order. Their outputs then
    share most of their randomness (on digits, correlations of .92 between masks that differ by 20 points, .84
    by 140), and attribution removes this part.
    """
    points = np.stack([np.flatnonzero(mask) for mask in masks])
    phase = Phase(
        points=points,
        objective=recipe.loss(),
        descent=recipe.descent(),
        augmentation=recipe.augmentation,
        drop_last=True,
        n_points=masks.shape[1],
    )
    states = initial_states(build, seeds)
    device = data.labels.device
    return run_phases(
        build(),
        {name: value.to(device) for name, value in states.items()},
        [phase],
        data,
        seeds=seeds,
        kind=kind,
    )


def check_model(build: Builder, recipe: Recipe, inputs: Float[np.ndarray, "..."]) -> None:
    """Raise ConfigError unless the model gives logits (n_points, n_classes) of inputs and can take a step.

    inputs are (n_points, ...). If the recipe requires stacking, the model must also be stackable.
    """
    _check_size(build)
    template = build()
    check_parameters(build, template)
    with placed("recipe"):
        recipe.augmentation.check(build.input_shape)
    if build.model.flip_average:
        with placed("model"):
            Augmentation(flip=True).check(build.input_shape, flip="flip_average")
    check_model_outputs(build, template, inputs)
    reason = why_not_stackable(template, [recipe.descent()], torch.from_numpy(np.array(inputs, np.float32)))
    if recipe.ensemble == "stacked" and reason is not None:
        raise ConfigError(f"recipe.ensemble is 'stacked', but {reason}; use 'auto' or 'looped'")
    looped: list[Kind] = [] if recipe.ensemble == "stacked" else ["looped"]
    stacked: list[Kind] = [] if recipe.ensemble == "looped" or reason is not None else ["stacked"]
    check_step(build, recipe.descent(), inputs, looped + stacked)


def _check_size(build: Builder) -> None:
    """Raise ConfigError if the parameters of one model need more memory than this machine has."""
    try:
        with torch.device("meta"):
            n_bytes = sum(value.numel() * value.element_size() for value in build().state_dict().values())
    # A user's model may need real tensors, and then fails in any way. Its size is then unknown, and the real
    # build reports the problem.
    except PluginError:
        return
    except PipelineError:
        raise
    except Exception:
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if n_bytes > memory:
        settings = ", ".join(f"{name}={value}" for name, value in build.model.model_dump().items())
        found = (
            f"model {plugin_name(build.model)!r} with {settings} needs {n_bytes / 2**30:,.0f} GB for its "
            "parameters alone"
        )
        raise ConfigError(
            f"{found}; this machine has {memory / 2**30:,.0f} GB of memory, so choose a smaller model"
        )


def choose_ensemble(build: Builder, recipe: Recipe, data: Feed, n_points: int) -> dict[str, Any]:
    """Return {"kind", "reason", …}: how members of this recipe run.

    A rule decides if one applies; otherwise both kinds are timed on a few steps.
    """
    if recipe.ensemble != "auto":
        return {"kind": recipe.ensemble, "reason": "set by recipe.ensemble"}
    template = build()
    reason = why_not_stackable(template, [recipe.descent()], data.first(2))
    if reason is not None:
        return {"kind": "looped", "reason": reason}
    batch = min(recipe.batch_size, n_points)
    try:
        times = (
            _seconds_per_member(build, recipe, data, batch)
            if sizing.training_group(template, data.first(1), batch) > 1
            else None
        )
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        times = None
    # The trial itself may have found that fewer members fit.
    group = sizing.training_group(template, data.first(1), batch)
    if times is None or group == 1:
        return {"kind": "looped", "reason": "memory does not hold 2 members at once"}
    kind = "stacked" if times[0] <= times[1] else "looped"
    groups = (
        ""
        if group >= TRIAL_MEMBERS
        else f", in groups of {group}, as memory does not hold {TRIAL_MEMBERS} members at once"
    )
    return {
        "kind": kind,
        "reason": f"the faster of both when timed{groups}",
        "seconds_stacked": times[0],
        "seconds_looped": times[1],
    }


def _seconds_per_member(build: Builder, recipe: Recipe, data: Feed, batch: int) -> tuple[float, float]:
    """Return the median seconds that a member takes for a few steps, stacked and looped.

    They are timed in turn after a warm-up.
    """
    listed = np.arange(batch)[None].repeat(TRIAL_MEMBERS, axis=0)
    descent = trial_descent(recipe, _TRIAL_STEPS, batch)
    template, states = build(), initial_states(build, range(TRIAL_MEMBERS))
    states = {name: value.to(data.labels.device) for name, value in states.items()}
    phase = Phase(
        points=listed,
        objective=recipe.loss(),
        descent=descent,
        augmentation=recipe.augmentation,
        drop_last=True,
    )
    one = dataclasses.replace(phase, points=listed[:1])
    first = {name: value[:1] for name, value in states.items()}
    times: dict[str, list[float]] = {"stacked": [], "looped": []}
    for _ in range(TRIAL_RUNS + 1):
        begun = time.perf_counter()
        run_phases(template, states, [phase], data, seeds=range(TRIAL_MEMBERS), kind="stacked")
        between = time.perf_counter()
        for _ in range(3):
            run_phases(template, first, [one], data, seeds=[0], kind="looped")
        times["stacked"].append((between - begun) / TRIAL_MEMBERS)
        times["looped"].append((time.perf_counter() - between) / 3)
    return statistics.median(times["stacked"][1:]), statistics.median(times["looped"][1:])


def trial_descent(recipe: Recipe, epochs: int, batch_size: int) -> Descent:
    """Return a recipe's descent for a trial of a few epochs; a triangle's peak moves with them."""
    share = {} if recipe.peak_epoch is None else {"peak_epoch": recipe.peak_epoch * epochs / recipe.epochs}
    return recipe.descent().model_copy(update={"epochs": epochs, "batch_size": batch_size, **share})
