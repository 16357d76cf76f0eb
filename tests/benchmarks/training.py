"""Speed of training: our loop, stacked and looped, against a plain torch loop, and what `auto` picks.

Loops: the demonstration's MLP 64-128-10 on 700 points, 15 epochs, batch 64, SGD (.2 falling linearly, .9,
5e-4), one thread, in milliseconds a model. `plain` is what a competent user writes: one nn.Module,
torch.optim.SGD, cross_entropy, resident data, batches by index. `plain_fused` is the same with fused=True,
which stacked members may not use (their bits would depend on how they are grouped).

Kinds: for mlp, cnn and logistic, both kinds in turn over a few epochs, and the pick of choose_ensemble.
auto_over_best = 1 is the right choice. All times are wall seconds taken in turn after a warm-up, as medians
over --repeats. training_stage.py measures the stage around the loop.
"""

import argparse
import statistics
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from measure import median_ratio, parse, seconds_in_turn, show
from torch import nn
from torch.nn import functional as F

from jobs.session import read_experiment
from pipeline.core.arrays import Masks
from pipeline.data.examples import Examples
from pipeline.models import MODELS
from pipeline.training.ensemble import Builder, Kind
from pipeline.training.feeds import Resident
from pipeline.training.populations import choose_ensemble, member_masks, train_members
from pipeline.training.recipe.recipe import Recipe

KEEP = 0.5


def train_plain(data: Resident, masks: Masks, recipe: Recipe, *, fused: bool) -> None:
    """Train one model after the other, as a competent user writes it for this recipe."""
    for seed, mask in enumerate(masks):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer = torch.optim.SGD(
            model.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=fused,
        )
        points = torch.from_numpy(np.flatnonzero(mask))
        per_epoch = len(points) // recipe.batch_size
        for epoch in range(recipe.epochs):
            order = points[torch.randperm(len(points))]
            for number in range(per_epoch):
                batch = order[number * recipe.batch_size : (number + 1) * recipe.batch_size]
                optimizer.param_groups[0]["lr"] = recipe.learning_rate * (
                    1 - (epoch * per_epoch + number) / (recipe.epochs * per_epoch)
                )
                optimizer.zero_grad()
                F.cross_entropy(model(data.inputs[batch]), data.labels[batch]).backward()
                optimizer.step()


def train_ours(build: Builder, data: Resident, masks: Masks, recipe: Recipe, kind: Kind) -> None:
    """Train the members of masks with our loop."""
    train_members(build, recipe, data, masks=masks, seeds=range(len(masks)), kind=kind)


def compare_loops(
    examples: Examples, recipe: Recipe, *, n_stacked: int, n_single: int, repeats: int
) -> dict[str, object]:
    """Return milliseconds a model of each loop, and how many times faster stacked members are.

    They are compared with the plain loops and with our looped kind.
    """
    data, masks = Resident.place(examples), random_masks(examples, n_stacked)
    build = Builder(MODELS.build({"name": "mlp", "width": 128}), examples.input_shape, examples.n_classes)
    few = masks[:n_single]
    runs = {
        "stacked": (n_stacked, partial(train_ours, build, data, masks, recipe, "stacked")),
        "looped": (n_single, partial(train_ours, build, data, few, recipe, "looped")),
        "plain": (n_single, partial(train_plain, data, few, recipe, fused=False)),
        "plain_fused": (n_single, partial(train_plain, data, few, recipe, fused=True)),
    }
    seconds = seconds_in_turn({name: run for name, (_, run) in runs.items()}, repeats=repeats)
    each = {name: [1e3 * value / runs[name][0] for value in values] for name, values in seconds.items()}
    return {
        "ms_a_model": {name: statistics.median(values) for name, values in each.items()},
        "mlp_stacked_over_looped": median_ratio(each["plain"], each["stacked"]),
        "mlp_stacked_over_plain_fused": median_ratio(each["plain_fused"], each["stacked"]),
        "mlp_stacked_over_our_looped": median_ratio(each["looped"], each["stacked"]),
    }


def compare_kinds(
    name: str, examples: Examples, recipe: Recipe, *, n_stacked: int, n_single: int, repeats: int
) -> dict[str, object]:
    """Return milliseconds a model of both kinds, and what `auto` picks each time.

    The result also has the time of its pick over the better kind's.
    """
    data, masks = Resident.place(examples), random_masks(examples, n_stacked)
    build = Builder(MODELS.build({"name": name}), examples.input_shape, examples.n_classes)
    picks: list[Kind] = []
    runs: dict[str, Callable[[], object]] = {
        "stacked": partial(train_ours, build, data, masks, recipe, "stacked"),
        "looped": partial(train_ours, build, data, masks[:n_single], recipe, "looped"),
        "choosing": lambda: picks.append(choose_ensemble(build, recipe, data, int(masks[0].sum()))["kind"]),
    }
    seconds = seconds_in_turn(runs, repeats=repeats)
    each = {
        "stacked": statistics.median(seconds["stacked"]) / n_stacked,
        "looped": statistics.median(seconds["looped"]) / n_single,
    }
    picked = [each[kind] / min(each.values()) for kind in picks]
    return {
        "ms_a_model": {kind: 1e3 * value for kind, value in each.items()},
        "picks": dict(Counter(picks)),
        "auto_over_best": statistics.fmean(picked),
        "auto_over_best_worst": max(picked),
        "seconds_to_choose": statistics.median(seconds["choosing"]),
    }


def random_masks(examples: Examples, n_models: int) -> Masks:
    """Return masks (n_models, n_train) that keep half of the points."""
    return member_masks(
        "benchmark", range(n_models), n_train=examples.n_train, keep_fraction=KEEP, forget=None
    )


def main() -> None:
    """Measure both parts and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", type=int, default=100, help="stacked members timed together; a tenth of them one by one"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--kinds",
        nargs="*",
        default=["mlp", "cnn", "logistic"],
        help="architectures for which `auto` is judged",
    )
    parser.add_argument(
        "--kind-epochs",
        type=int,
        default=2,
        help="epochs when kinds are compared: their ratio does not depend on it",
    )
    arguments = parse(parser, models=2, repeats=1, kinds=["mlp", "logistic"], kind_epochs=1)
    torch.set_num_threads(1)
    experiment = read_experiment(None, (), None)
    examples, recipe = experiment.dataset.load(), experiment.recipe
    n_single = max(1, arguments.models // 10)
    figures = compare_loops(
        examples, recipe, n_stacked=arguments.models, n_single=n_single, repeats=arguments.repeats
    )
    short = recipe.model_copy(update={"epochs": arguments.kind_epochs})
    kinds = {
        name: compare_kinds(
            name,
            examples,
            short,
            n_stacked=min(50, arguments.models),
            n_single=min(5, n_single),
            repeats=arguments.repeats,
        )
        for name in arguments.kinds
    }
    ratios = {f"{name}_auto_over_best": kind["auto_over_best"] for name, kind in kinds.items()}
    show("training", {**figures, **ratios, "kinds": kinds, "settings": vars(arguments)})


if __name__ == "__main__":
    main()
