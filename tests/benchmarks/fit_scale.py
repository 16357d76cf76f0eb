"""A large fit: 4,000 models, 2,000 training points, 20,480 outputs, with the real store and stages on Ray.

Synthetic logits (planted weights, seed effects, noise) are written as populations in float16. Then factor,
fit and one effect run on two CPUs. The fit runs twice, streamed by Ray Data and as plain Ray tasks, and both
must write the same shards. Every task reports its time, the bytes it read and its peak memory. These reports,
with the speed of bare products and eigendecompositions, give the constants of pipeline/attribution/SCALE.md.
"""

import argparse
import functools
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import parse, show
from threadpoolctl import threadpool_limits

from jobs.session import graph_of, stream_of
from pipeline import config
from pipeline.data.masks import pack_masks, subset_mask
from pipeline.execution.progress import Progress
from pipeline.execution.ray.streaming import StreamingExecutor
from pipeline.execution.ray.tasks import connect
from pipeline.execution.walk import Walk
from pipeline.graph.graph import Graph
from pipeline.graph.shard_task import Task, compute_task, read_common
from pipeline.store.store import Shard, Store

NODES = ("train/subset", "train/heldout", "forget/some", "factor", "fit", "effect/some")
SHARD, N_HELDOUT, N_SEEDS, N_CLASSES = 100, 100, 50, 10


def open_graph(n_models: int, n_train: int, n_points: int, block_points: int) -> Graph:
    """Return the part of an experiment's graph from its subset models to one effect."""
    tree = {
        "dataset": {
            "name": "planted",
            "n_train": n_train,
            "n_validation": n_points - n_train,
            "n_classes": N_CLASSES,
            "n_groups": 20,
        },
        "populations": {
            "subset": {"n_models": n_models, "keep_fraction": 0.5},
            "designed": None,
            "n_seeds": N_SEEDS,
            "heldout": {"n_models": N_HELDOUT},
        },
        "forget_sets": {"some": {"name": "random", "n_points": 15}},
        "unlearners": {"dm_direct": "dm_direct"},
        "estimator": "ridge",
        "store": {"shard_members": SHARD, "layout": {"dtype": "float16", "block_points": block_points}},
    }
    experiment = config.build(tree)
    examples = experiment.dataset.load()
    whole = graph_of(experiment, examples)
    return Graph(
        experiment, examples, {key: whole.nodes[key] for key in NODES}, examples.digest, whole.digest
    )


def write_populations(graph: Graph, store: Store) -> None:
    """Write synthetic models.

    The mask explains half of the variance of a logit, the seed a tenth.
    """
    examples, layout, rng = graph.examples, graph.experiment.store.layout, np.random.default_rng(0)
    n_train, n_outputs = examples.n_train, examples.n_points * N_CLASSES
    weights = rng.standard_normal((n_train, n_outputs), np.float32) * np.float32(2 / np.sqrt(n_train))
    effects = np.float32(0.45) * rng.standard_normal((N_SEEDS, n_outputs), np.float32)
    states = graph.survey(store)
    for number, key in enumerate(("train/subset", "train/heldout")):
        state = states[key]
        for start in range(0, state.node.n_units, SHARD):
            members = np.arange(start, min(start + SHARD, state.node.n_units))
            masks = np.stack(
                [subset_mask(n_train, 0.5, 1_000_000 * number + member) for member in members.tolist()]
            )
            logits = (
                masks.astype(np.float32) @ weights
                + effects[members % N_SEEDS]
                + rng.standard_normal((len(members), n_outputs), np.float32)
            )
            columns = {
                "member": members,
                "seed": members % N_SEEDS,
                "mask": pack_masks(masks),
                **layout.columns(logits.reshape(len(members), -1, N_CLASSES)),
            }
            store.write_shard(
                state.table.folder, "members", start, start + len(members), Shard(columns=columns), side={}
            )


def reported(function: Callable[..., Any], folder: str, name: str, task: Task, *given: Any) -> Any:
    """Run function(task, ...) and write its cost to folder.

    The cost is seconds, CPU seconds, bytes read, peak memory and how much of the memory is shared.
    """
    Path("/proc/self/clear_refs").write_text("5")
    before, cpu, begun = _counted("io", "rchar"), time.process_time(), time.perf_counter()
    result = function(task, *given)
    report = {
        "node": f"{name}{task.node.key}",
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu,
        "mb_read": (_counted("io", "rchar") - before) / 1e6,
        "peak_mb": _counted("status", "VmHWM") * 1024 / 1e6,
        "shared_mb": _counted("status", "RssShmem") * 1024 / 1e6,
    }
    Path(folder, f"{time.time_ns()}-{task.start}.json").write_text(json.dumps(report))
    return result


def _counted(file: str, name: str) -> int:
    """Return the number that Linux counts for this process under a name."""
    line = next(
        line for line in Path(f"/proc/self/{file}").read_text().splitlines() if line.startswith(f"{name}:")
    )
    return int(line.split()[1])


def walk(
    graph: Graph, store: Store, folder: Path, until: str, fewest: int
) -> tuple[float, dict[str, dict[str, float]]]:
    """Compute what is missing.

    Return the wall seconds and, for each node, the sums of its tasks' costs and the largest of their memory.
    """
    folder.mkdir()
    run = functools.partial(reported, compute_task, str(folder), "")
    prepare = functools.partial(reported, read_common, str(folder), "common of ")
    begun = time.perf_counter()
    progress: Progress = Walk(
        graph,
        store,
        open_executor=lambda: StreamingExecutor(
            run, graph.examples, prepare=prepare, stream=stream_of, fewest=fewest
        ),
        until=until,
    ).run()
    seconds = time.perf_counter() - begun
    if progress.failures:
        raise SystemExit(
            f"{progress.failures[0].key}: {progress.failures[0].trace or progress.failures[0].error}"
        )
    nodes: dict[str, dict[str, float]] = {}
    for path in sorted(folder.iterdir()):
        report = json.loads(path.read_text())
        known = nodes.setdefault(report.pop("node"), {"tasks": 0.0})
        known["tasks"] += 1
        for name, value in report.items():
            known[name] = (
                max(known.get(name, 0.0), value)
                if name in ("peak_mb", "shared_mb")
                else known.get(name, 0.0) + value
            )
    return seconds, nodes


def rates(n_models: int, n_columns: int) -> dict[str, float]:
    """Return CPU seconds of one thread for eigendecompositions and for products, in float64.

    The first is for each m³ of an eigendecomposition, the second for each multiplication of an m×m by an
    m×columns product.
    """
    rng = np.random.default_rng(0)
    half = rng.standard_normal((n_models, n_models))
    found = {}
    with threadpool_limits(1):
        begun = time.process_time()
        half @ half[:, :n_columns]
        found["product"] = (time.process_time() - begun) / (n_models**2 * n_columns)
        square = half + half.T
        begun = time.process_time()
        np.linalg.eigh(square)
        found["eigh"] = (time.process_time() - begun) / n_models**3
    return found


def shards(store: Store) -> Iterator[Path]:
    """Yield the blocks of the fit."""
    return Path(store.uri).glob("fit/*/*/*.parquet")


def run(arguments: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Run all stages and return the figures."""
    graph = open_graph(arguments.models, arguments.train, arguments.points, arguments.block_points)
    store = Store(str(root / "store"))
    begun = time.perf_counter()
    write_populations(graph, store)
    seconds = {"write": time.perf_counter() - begun}
    connect(arguments.cpus)
    seconds["factor"], figures = walk(graph, store, root / "factor", "factor", 1)
    names: dict[str, list[str]] = {}
    for way, fewest in (("fit, streamed", 1), ("fit, plain tasks", 1_000_000)):
        for path in list(shards(store)):
            path.unlink()
        seconds[way], nodes = walk(graph, store, root / way, "fit", fewest)
        figures |= {name.replace("fit", way): values for name, values in nodes.items()}
        names[way] = sorted(path.name for path in shards(store))
    if names["fit, streamed"] != names["fit, plain tasks"]:
        raise SystemExit("the shards of a streamed fit differ from those of plain tasks")
    seconds["effect"], nodes = walk(graph, store, root / "effect", "effect", 1)
    n_outputs = graph.examples.n_points * N_CLASSES
    speed = {way: n_outputs / seconds[way] for way in names}
    return {
        "wall_seconds": seconds,
        "nodes": figures | nodes,
        "outputs_a_second": speed,
        "n_blocks": graph.nodes["fit"].n_units,
    }


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=4000)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--block-points", type=int, default=256)
    parser.add_argument("--cpus", type=int, default=2)
    arguments = parse(parser, models=200, train=60, points=80, block_points=20)
    with tempfile.TemporaryDirectory() as folder:
        figures = run(arguments, Path(folder))
    constants = rates(arguments.models, min(arguments.models, arguments.block_points * N_CLASSES))
    driver = {"driver_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    show("fit_scale", {"settings": vars(arguments), **figures, "cpu_seconds_for_each": constants, **driver})


if __name__ == "__main__":
    main()
