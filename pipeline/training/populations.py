"""Populations: many models of one recipe that differ only in mask and seed.

The mask of a member is derived from the population's purpose and the member's number alone, so any member can
be trained again alone.
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

# `ensemble: auto` times 3 runs of 25 stacked members with 6 steps each. This takes about a second for slow
# models and far less for small ones.
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
    """Return masks (n_members, n_train) of the points that each member keeps.

    With keep_fraction, members keep random subsets of that fraction, drawn by purpose and member. With lines
    as well, the subsets drop whole groups of points that may have to be forgotten together. With forget,
    members keep all points except forget. With both keep_fraction and forget, they keep that fraction of the
    points outside forget, plus forget if keeps_forget is true. With neither, they keep all points.
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
    share most of their randomness: on digits, the outputs of two members correlate by .92 if their masks
    differ by 20 points, and by .84 if they differ by 140. Attribution removes the shared part.
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
    """Raise ConfigError unless the model turns inputs into logits (n_points, n_classes) and can be trained.

    inputs (n_points, ...) are a few points, on which one step is tried. If the recipe requires stacking, the
    model must also be stackable.
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
    # Tensors on the device `meta` have shapes but no numbers. A user's model may need numbers, and then
    # raises anything here. Its size is then unknown, and the real build reports any problem.
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
    """Return how members of this recipe run: {"kind": "stacked" or "looped", "reason": …}.

    The recipe, the model or the memory may allow only one kind. Otherwise both kinds are timed on a few
    steps, and their seconds for each member are returned too.
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
    # The trial may have run out of memory, and then fewer members fit than before.
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
    """Return the median seconds that one member takes for a few steps: (stacked, looped).

    Both kinds are timed alternately, after a warm-up.
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
    """Return a recipe's descent with a trial's epochs and batch size.

    A peak_epoch keeps its relative place: it shrinks as the epochs do.
    """
    share = {} if recipe.peak_epoch is None else {"peak_epoch": recipe.peak_epoch * epochs / recipe.epochs}
    return recipe.descent().model_copy(update={"epochs": epochs, "batch_size": batch_size, **share})
