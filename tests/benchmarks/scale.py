"""Scale by shape: 20,000 shards that train nothing, so only the overhead of a shard is left.

driver_mb: memory that the driver gained over the run. ms_per_shard: milliseconds of a worker for a shard,
with two workers that share two cores with the driver and Ray. ms_per_shard_1_worker: the same for one worker
alone, which waits for no core (a tenth of the shards). status_seconds: `dmm status` on the finished store,
imports included. survey_seconds: its look at the store alone. resume_seconds: from the first look until the
first of the remaining shards is handed out, with a twentieth of the shards removed. efficiency_16_nodes: the
time that shards sleep over the time that the run takes, on 16 workers that stand for nodes.
speedup_2_workers: models a second with two workers against one, pairs in turn; left out, with a reason, if
others use the machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from measure import parse, show
from trivial import KEY, TREE, session_of

from jobs.session import executor_opener, open_session
from pipeline import config
from pipeline.execution.executor import Executor
from pipeline.execution.progress import Progress
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import Task

# Per cent of the processors in use by others above which two workers cannot be compared with one, and the
# seconds over which it is measured.
IDLE, LISTEN = 10.0, 5.0
TRAINED = ["store.shard_members=50", "populations.designed=null"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument(
        "--sleep", type=float, default=2.0, help="seconds that a shard sleeps on the virtual nodes"
    )
    parser.add_argument("--pairs", type=int, default=3, help="pairs of runs with one and two workers")
    parser.add_argument("--nodes", type=int, default=16, help="workers that stand for nodes")
    parser.add_argument("--models", type=int, default=3000, help="models that one and two workers train")
    parser.add_argument(
        "--parts", nargs="*", default=["many", "look", "nodes", "workers"], help="what to measure"
    )
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=2, help=argparse.SUPPRESS)
    arguments = parse(parser, shards=20, sleep=0.01, pairs=1, nodes=2, models=4)
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, Any] = {"n_shards": arguments.shards}
        if "many" in arguments.parts:
            figures |= apart("many", arguments, folder) | alone(arguments, f"{folder}/alone")
        if "look" in arguments.parts:
            figures |= look(arguments, folder)
        if "nodes" in arguments.parts:
            figures |= apart("nodes", arguments, f"{folder}/nodes")
        if "workers" in arguments.parts:
            figures |= speedup(arguments, folder)
    show("scale", figures)


def apart(part: str, arguments: argparse.Namespace, store: str, workers: int = 2) -> dict[str, Any]:
    """Return the figures of a part, measured in its own process with its own Ray.

    At the smallest size it runs in this process, with one Ray for all parts.
    """
    if arguments.smallest:
        return PARTS[part](argparse.Namespace(**vars(arguments) | {"store": store, "workers": workers}))
    numbers = {name: getattr(arguments, name) for name in ("shards", "sleep", "nodes", "models")} | {
        "workers": workers
    }
    given = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    done = subprocess.run(
        [sys.executable, __file__, "--part", part, "--store", store, *given],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # Ray may print lines of its own behind the figures.
    return dict(json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))))


def many(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make all shards with two workers, or as many as are asked for."""
    start_ray(arguments.workers)
    warm_up(arguments, seconds=0.5)
    session = session_of(arguments.store, arguments.shards)
    process = psutil.Process()
    before, cpu, begun = process.memory_info().rss, time.process_time(), time.perf_counter()
    progress = Walk(
        session.graph, session.store, open_executor=executor_opener("ray", session), wanted=frozenset({KEY})
    ).run()
    seconds = time.perf_counter() - begun
    check(progress)
    gained = (process.memory_info().rss - before) / 2**20
    each = {
        "ms_per_shard": arguments.workers * seconds,
        "wall_ms_per_shard": seconds,
        "driver_cpu_ms_per_shard": time.process_time() - cpu,
    }
    return {"driver_mb": gained, **{name: 1000 * value / arguments.shards for name, value in each.items()}}


def alone(arguments: argparse.Namespace, store: str) -> dict[str, float]:
    """Return the milliseconds of a shard for one worker that shares the machine with the driver only."""
    fewer = argparse.Namespace(
        **vars(arguments) | {"shards": max(min(200, arguments.shards), arguments.shards // 10)}
    )
    return {"ms_per_shard_1_worker": apart("many", fewer, store, workers=1)["ms_per_shard"]}


def look(arguments: argparse.Namespace, store: str) -> dict[str, Any]:
    """Measure the status of the finished shards, and what is left after some of them are removed."""
    given = Path(store) / "scale.yaml"
    given.write_text(
        config.build(
            TREE, [f"populations.subset.n_models={arguments.shards}", f"store.uri={store}"]
        ).to_yaml()
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "jobs", "status", str(given), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - begun
    n_done = next(
        node["done"] for node in json.loads(done.stdout.splitlines()[-1])["nodes"] if node["node"] == KEY
    )
    if n_done != arguments.shards:
        sys.exit(f"status tells of {n_done} of {arguments.shards} shards")
    session = open_session(str(given))
    begun = time.perf_counter()
    session.graph.survey(session.store)
    figures = {"status_seconds": seconds, "survey_seconds": time.perf_counter() - begun}
    for path in sorted(Path(store).glob("train/subset-*/*/*.parquet"))[::20]:
        path.unlink()
    return figures | apart("resume", arguments, store)


def resume(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how long a run takes to know what is left."""
    session = session_of(arguments.store, arguments.shards)

    def no_executor() -> Executor[Task]:
        raise KeyboardInterrupt

    begun = time.perf_counter()
    try:
        Walk(session.graph, session.store, open_executor=no_executor, wanted=frozenset({KEY})).run()
    except KeyboardInterrupt:
        return {"resume_seconds": time.perf_counter() - begun}
    sys.exit("nothing was left to be made")


def nodes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let shards sleep on workers that stand for nodes.

    Sleep takes no CPU, so all lost time is lost between shards.
    """
    start_ray(arguments.nodes)
    warm_up(arguments, seconds=2.0)
    n_shards = 20 * arguments.nodes
    session = session_of(arguments.store, n_shards, seconds=arguments.sleep)
    begun = time.perf_counter()
    check(
        Walk(
            session.graph,
            session.store,
            open_executor=executor_opener("ray", session),
            wanted=frozenset({KEY}),
        ).run()
    )
    return {
        f"efficiency_{arguments.nodes}_nodes": n_shards
        * arguments.sleep
        / arguments.nodes
        / (time.perf_counter() - begun),
        "sleep_seconds": arguments.sleep,
    }


def speedup(arguments: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Train the demonstration's subset models with one and with two workers, in turn."""
    used = 0.0 if arguments.smallest else psutil.cpu_percent(LISTEN)
    if used > IDLE:
        return {"speedup_2_workers": None, "why_not": f"others use {used:.0f} % of the machine"}
    pace = {n: [] for n in (1, 2)}
    for pair in range(arguments.pairs):
        for n_workers in pace:
            pace[n_workers].append(
                apart("trained", arguments, f"{folder}/trained-{pair}-{n_workers}", n_workers)[
                    "models_per_second"
                ]
            )
    ratios = [two / one for one, two in zip(pace[1], pace[2], strict=True)]
    return {"speedup_2_workers": statistics.median(ratios), "speedups": ratios, "models_per_second": pace}


def trained(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how many of the demonstration's subset models warm workers train in a second."""
    start_ray(arguments.workers)
    models = 0
    for number, n_models in enumerate((min(200, arguments.models), arguments.models)):
        settings = [
            *TRAINED,
            f"populations.subset.n_models={n_models}",
            f"seed={number}",
            "tracking.uri=none",
        ]
        session = open_session(None, settings, arguments.store)
        begun = time.perf_counter()
        progress = Walk(
            session.graph,
            session.store,
            open_executor=executor_opener("ray", session),
            wanted=frozenset({KEY}),
        ).run()
        check(progress)
        models = progress.n_models_made
    return {"models_per_second": models / (time.perf_counter() - begun)}


def start_ray(n_cpus: int) -> None:
    from pipeline.execution.ray.cluster import connect

    connect(n_cpus)


def warm_up(arguments: argparse.Namespace, seconds: float) -> None:
    """Let every worker start and import what it needs."""
    session = session_of(
        f"{arguments.store}/warm", 4 * arguments.nodes, seconds=0.0 if arguments.smallest else seconds
    )
    check(
        Walk(
            session.graph,
            session.store,
            open_executor=executor_opener("ray", session),
            wanted=frozenset({KEY}),
        ).run()
    )


def check(progress: Progress) -> None:
    if progress.failures:
        sys.exit(f"shards failed: {progress.failures[0]}")


PARTS = {"many": many, "resume": resume, "nodes": nodes, "trained": trained}

if __name__ == "__main__":
    main()
