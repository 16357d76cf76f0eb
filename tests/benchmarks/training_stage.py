"""The whole training stage (Ray, the store and Python) on two cores, against bare stacked training.

The stage is `dmm run --until train` on the embedded demonstration (fewer subset models), through Walk and
RayExecutor into a fresh store, with Ray started and workers warm. `cold` is the first run of all, the start
of Ray included. Bare training does the same shards, in turn with the stage. It uses one spawned process of
one thread for each core; processes are warm, and data are resident. Its seconds are the processes' training
seconds added up and divided by their number, without storing or evaluating. So bare training is perfectly
balanced and pays for no hand-over.

Losses are shares of all cores over the stage's wall seconds. evaluating: logits on all points, which a store
must hold. choosing: stacked or looped (twice, because both workers choose first). writing: the same shards
written again here, timed. python_and_contention: the rest of the workers' own seconds (noise may make it
negative). ray_and_waiting: the remainder.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from measure import parse, show

from jobs.session import Session, executor_opener, open_session
from pipeline.core.arrays import Indices
from pipeline.data.examples import Examples
from pipeline.execution.walk import Walk
from pipeline.graph.graph import NodeState
from pipeline.graph.nodes.train import Population
from pipeline.store.shards import split
from pipeline.store.store import Shard, Store
from pipeline.training.ensemble import Builder, compute_logits
from pipeline.training.feeds import Resident
from pipeline.training.populations import choose_ensemble, member_masks, train_members
from pipeline.training.recipe.recipe import Recipe

OTHERS = ("designed", "heldout", "full", "oracle", "floor")
SMALLEST = [
    "recipe.epochs=1",
    "populations.scout.n_models=2",
    *(f"populations.{role}.n_models=4" for role in OTHERS),
]


@dataclass(frozen=True)
class BareShard:
    """What a process needs to train the members of one shard."""

    build: Builder
    recipe: Recipe
    members: range
    keep_fraction: float | None
    forget: Indices | None


def bare_shards(session: Session) -> list[BareShard]:
    """Return the shards of all populations of an experiment."""
    examples, sets = session.examples, session.experiment.forget_sets
    ids = {f"forget/{label}": rule.select(examples, None) for label, rule in sets.items()}
    shards = []
    for node in session.graph.nodes.values():
        if isinstance(node, Population):
            build = Builder(node.model, examples.input_shape, examples.n_classes)
            forget = ids[node.forget_key] if node.forget_key else None
            shards += [
                BareShard(build, node.recipe, range(*bounds), node.keep_fraction, forget)
                for bounds in split([(0, node.n_units)], node.shard_size)
            ]
    return shards


def train_bare(examples: Examples, shard: BareShard) -> tuple[float, float]:
    """Train a shard's members and return the seconds of training and of evaluating logits on all points."""
    torch.set_num_threads(1)
    data = Resident.place(examples)
    masks = member_masks(
        "bare",
        shard.members,
        n_train=examples.n_train,
        keep_fraction=shard.keep_fraction,
        forget=shard.forget,
    )
    begun = time.perf_counter()
    states = train_members(shard.build, shard.recipe, data, masks=masks, seeds=shard.members, kind="stacked")
    trained = time.perf_counter()
    compute_logits(shard.build(), states, data.inputs, kind="stacked")
    return trained - begun, time.perf_counter() - trained


def bare_seconds(pool: ProcessPoolExecutor, session: Session, n_processes: int) -> tuple[float, float]:
    """Return training and evaluation seconds of all shards, both divided by the number of processes."""
    times = list(pool.map(partial(train_bare, session.examples), bare_shards(session)))
    return sum(train for train, _ in times) / n_processes, sum(
        evaluate for _, evaluate in times
    ) / n_processes


def stage_seconds(overrides: list[str]) -> dict[str, float]:
    """Run the stage into a fresh store.

    Return its wall seconds, the seconds that its workers counted, and those of writing the same shards again.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        session = open_session(None, overrides, folder)
        begun = time.perf_counter()
        walk = Walk(
            session.graph, session.store, open_executor=executor_opener("ray", session), until="train"
        )
        progress = walk.run()
        wall = time.perf_counter() - begun
        if progress.failures:
            raise SystemExit(
                f"{len(progress.failures)} shards failed, the first: {progress.failures[0].error}"
            )
        states = [state for state in progress.states.values() if isinstance(state.node, Population)]
        counted = sum(
            session.store.side(state.table.folder, piece.shard)["seconds"]
            for state in states
            for piece in state.pieces
        )
        written = sum(rewrite_seconds(session.store, Store(scratch), state) for state in states)
    return {"wall": wall, "workers": counted, "writing": written, "models": progress.n_models_made}


def rewrite_seconds(store: Store, scratch: Store, state: NodeState) -> float:
    """Return the seconds it takes to write a table's shards once more."""
    seconds = 0.0
    for piece in state.pieces:
        table = state.table
        columns = store.read(type(table)(table.folder, (piece,)))
        blobs = {
            ending: store.read_blob(table.folder, piece.shard, ending)
            for ending in store.blob_names(table.folder, piece.shard)
        }
        begun = time.perf_counter()
        scratch.write_shard(
            table.folder,
            state.node.unit,
            piece.start,
            piece.stop,
            Shard(columns=columns, blobs=blobs),
            side={},
        )
        seconds += time.perf_counter() - begun
    return seconds


def choosing_seconds(session: Session) -> float:
    """Return the seconds that one worker takes to time stacked against looped."""
    experiment, examples = session.experiment, session.examples
    build, data = (
        Builder(experiment.model, examples.input_shape, examples.n_classes),
        Resident.place(examples),
    )
    begun = time.perf_counter()
    choose_ensemble(build, experiment.recipe, data, examples.n_train)
    return time.perf_counter() - begun


def losses(
    stage: dict[str, float], bare: tuple[float, float], choosing: float, n_cores: int
) -> dict[str, float]:
    """Return the shares of one stage's core seconds, which add up to 1."""
    training, evaluating = (seconds * n_cores for seconds in bare)
    shares = {
        "training": training,
        "evaluating": evaluating,
        "choosing": n_cores * choosing,
        "writing": stage["writing"],
        "python_and_contention": stage["workers"] - training - evaluating - n_cores * choosing,
        "ray_and_waiting": n_cores * stage["wall"] - stage["workers"] - stage["writing"],
    }
    return {name: seconds / (n_cores * stage["wall"]) for name, seconds in shares.items()}


def main() -> None:
    """Measure stage and bare training in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subset-models", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one setting of the demonstration",
    )
    arguments = parse(parser, subset_models=4, repeats=1, set=SMALLEST)
    torch.set_num_threads(1)
    n_cores = os.cpu_count() or 1
    sets = 'forget_sets={"random": {"name": "random", "n_points": 20, "seed": 0}}'
    overrides = [
        f"populations.subset.n_models={arguments.subset_models}",
        sets,
        "tracking.uri=none",
        *arguments.set,
    ]
    with tempfile.TemporaryDirectory() as unused:
        session = open_session(None, overrides, unused)
    cold = stage_seconds(overrides)
    stages, bares = [], []
    with ProcessPoolExecutor(n_cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        bare_seconds(pool, session, n_cores)
        for _ in range(arguments.repeats):
            stages.append(stage_seconds(overrides))
            bares.append(bare_seconds(pool, session, n_cores))
    choosing = statistics.median(choosing_seconds(session) for _ in range(3))
    report(arguments, cold, stages, bares, choosing, n_cores)


def report(
    arguments: argparse.Namespace,
    cold: dict[str, float],
    stages: list[dict[str, float]],
    bares: list[tuple[float, float]],
    choosing: float,
    n_cores: int,
) -> None:
    """Print the medians over pairs."""
    shares = [losses(stage, bare, choosing, n_cores) for stage, bare in zip(stages, bares, strict=True)]
    wall = statistics.median(stage["wall"] for stage in stages)
    figures: dict[str, Any] = {
        "stage_over_bare": statistics.median(
            bare[0] / stage["wall"] for stage, bare in zip(stages, bares, strict=True)
        ),
        "stage_over_bare_with_evaluation": statistics.median(
            sum(bare) / stage["wall"] for stage, bare in zip(stages, bares, strict=True)
        ),
        "models_per_hour": 3600 * stages[0]["models"] / wall,
        "models": stages[0]["models"],
        "seconds": {
            "stage_warm": wall,
            "stage_cold": cold["wall"],
            "bare": float(np.median([bare[0] for bare in bares])),
            "choosing": choosing,
        },
        "shares": {name: statistics.median(share[name] for share in shares) for name in shares[0]},
        "cores": n_cores,
        "settings": vars(arguments),
    }
    show("training_stage", figures)


if __name__ == "__main__":
    main()
