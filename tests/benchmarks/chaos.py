"""The proof that a run survives lost nodes, killed workers, refused writes and three killed drivers.

A Ray head and three nodes run as processes of this machine. An experiment of 400 shards and more runs once
undisturbed. Then it runs again on a store of its own: every few seconds a node is killed and another added,
workers are killed at random, one of --one-in writes to the store is refused, and the driver is killed -9 and
started again. With --s3 both stores are on an S3 server of this machine; of its requests one in so many is
throttled, fails, is cut off, or is done without an answer. The run is bounded in time, and tables that differ
are an error.

identical: all tables of both stores have the same names, each of which carries the digest of its bytes.
time_ratio: seconds of the disturbed run, its drivers' starts included, over those of the undisturbed run.
shards_done_twice: shards that were written although they existed. shards_begun_again: shards that were lost
on the way and begun once more.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from measure import parse, show
from places import Buckets, Folders
from unreliable import DIARY, ONE_IN, read_diary

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
# Ray notices within two seconds that a node is gone: it asks twice a second, and a dead process refuses at
# once. A node that is only busy may take ten seconds to answer. PYTHONPATH lets processes of a node import
# what drivers send them.
os.environ |= {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parents[1])]),
}
OBJECT_STORE_BYTES = 80 << 20
DRIVER = [sys.executable, "-c", "import unreliable; unreliable.main()"]
EXPERIMENT = """
name: chaos
dataset: {{name: planted, n_train: 60, n_validation: 20, label_noise: {{n_points: 4}}}}
model: {{name: mlp, width: 8}}
recipe: {{epochs: 10, batch_size: 10, learning_rate: 0.1, ensemble: stacked}}
populations:
  subset: {{n_models: {n_models}}}
  designed: null
  heldout: {{n_models: {n_heldout}}}
  full: {{n_models: {n_others}}}
  oracle: {{n_models: {n_others}}}
  floor: {{n_models: {n_others}}}
estimator: ridge
forget_sets: {{some: {{name: random, n_points: 5}}}}
unlearners: {{nothing: no_op, dm_direct: dm_direct}}
judges: {{klom: {{n_resamples: 20}}, accuracy: {{}}}}
store: {{shard_members: 1, layout: {{block_points: 20}}}}
tracking: {{uri: none}}
"""


def main() -> None:
    arguments = read_arguments()
    deadline = time.monotonic() + arguments.limit
    with (
        tempfile.TemporaryDirectory() as folder,
        Buckets() if arguments.s3 else Folders(Path(folder)) as storage,
        cluster(arguments.nodes) as nodes,
    ):
        given, diary = Path(folder) / "chaos.yaml", Path(folder) / "diary"
        given.write_text(
            EXPERIMENT.format(
                n_models=arguments.models, n_others=arguments.others, n_heldout=2 * arguments.others
            )
        )
        begin = partial(start, nodes, given, diary, storage)
        begun = time.monotonic()
        if finish(begin("calm", 0), deadline) != 0:
            sys.exit("the undisturbed run failed; it takes longer than there is time for, or see above")
        undisturbed, expected = time.monotonic() - begun, storage.tables("calm")
        diary.unlink()
        storage.worsen(arguments.one_in)
        chaos = Chaos(nodes, random.Random(arguments.seed), every=arguments.every, most=arguments.most)
        kill_at = [len(expected) * n // (arguments.kills + 1) for n in range(1, arguments.kills + 1)]
        begun = time.monotonic()
        killed, started = run_disturbed(
            chaos,
            partial(begin, "wild", arguments.one_in),
            partial(storage.tables, "wild"),
            kill_at,
            deadline,
        )
        disturbed, found, events = time.monotonic() - begun, storage.tables("wild"), read_diary(diary)
    figures = {
        "identical": expected == found,
        "n_shards": len(expected),
        "time_ratio": disturbed / undisturbed,
        "shards_done_twice": len(events["made"]) - len(set(events["made"])),
        "shards_begun_again": len(events["begun"]) - len(set(events["begun"])),
        "drivers_killed": killed,
        "drivers_started": started,
        "nodes_killed": chaos.nodes_killed,
        "workers_killed": chaos.workers_killed,
        "requests_failed" if arguments.s3 else "writes_refused": storage.n_failed or len(events["refused"]),
        "undisturbed_seconds": undisturbed,
        "disturbed_seconds": disturbed,
    }
    show("chaos", figures)
    if expected != found and time.monotonic() > deadline:
        sys.exit(
            f"the disturbed run was not done in time, with {len(found)} of {len(expected)} shards: give a "
            "larger --limit, others use the machine"
        )
    if expected != found:
        sys.exit(f"tables differ: {len(expected - found)} are missing, {len(found - expected)} are others")


def read_arguments() -> argparse.Namespace:
    """Return the command line, with the sizes that --quick decides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer shards and kills, two minutes at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--limit",
        type=float,
        help="seconds for all of it, twice as many on a machine that others use; 350, or 115 with --quick",
    )
    parser.add_argument(
        "--one-in", type=int, default=50, help="of so many writes, or with --s3 requests, one fails"
    )
    parser.add_argument(
        "--every",
        type=float,
        default=10.0,
        help="seconds between two killed nodes on average; workers are killed twice as often",
    )
    parser.add_argument("--s3", action="store_true", help="stores on an S3 server, not in folders")
    parser.add_argument("--models", type=int, help="subset models, each a shard; 400, or 100 with --quick")
    parser.add_argument(
        "--others", type=int, default=10, help="models of each other population, and half of those held out"
    )
    parser.add_argument("--kills", type=int, help="times that the driver is killed; 3, or once with --quick")
    parser.add_argument("--nodes", type=int, default=3, help="nodes beside the head")
    parser.add_argument("--most", type=int, help="at most so many nodes are killed, and so many workers")
    arguments = parse(parser, models=4, others=2, kills=1, nodes=1, every=0.1, most=1, one_in=10, limit=600.0)
    sizes = (
        {"models": 100, "kills": 1, "limit": 115.0}
        if arguments.quick
        else {"models": 400, "kills": 3, "limit": 350.0}
    )
    for name, size in sizes.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, size)
    return arguments


@contextlib.contextmanager
def cluster(n_nodes: int) -> Iterator[Any]:
    """Yield a Ray cluster: a head without CPUs, where drivers run, and nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES},
    )
    try:
        for _ in range(n_nodes):
            add_node(nodes)
        yield nodes
    finally:
        nodes.shutdown()


def add_node(nodes: Any) -> None:
    nodes.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)


class Chaos:
    """Kills nodes and workers of a cluster, and adds nodes, every few seconds.

    Between two kills of a kind at least one shard is finished. On a busy machine a new worker may take longer
    to start than nodes live; without this rule such a run would never end.
    """

    def __init__(self, nodes: Any, rng: random.Random, *, every: float, most: int | None) -> None:
        self._nodes, self._rng = nodes, rng
        self._every, self._most = every, most
        self._node_at, self._worker_at = time.monotonic() + every, time.monotonic() + every / 2
        self._shards_at_node = self._shards_at_worker = 0
        self.nodes_killed = self.workers_killed = 0

    def step(self, n_shards: int) -> None:
        """Kill what is due when n_shards are finished; call it several times a second."""
        if self._is_due(self._worker_at, n_shards > self._shards_at_worker, self.workers_killed):
            self._worker_at, self._shards_at_worker = (
                time.monotonic() + self._rng.uniform(0.5, 1.5) * self._every / 2,
                n_shards,
            )
            self._kill_worker()
        if self._is_due(self._node_at, n_shards > self._shards_at_node, self.nodes_killed):
            self._nodes.remove_node(
                self._rng.choice(sorted(self._nodes.worker_nodes, key=lambda node: node.unique_id)),
                allow_graceful=False,
            )
            self.nodes_killed += 1
            add_node(self._nodes)
            self._node_at, self._shards_at_node = (
                time.monotonic() + self._rng.uniform(0.7, 1.3) * self._every,
                n_shards,
            )

    def _is_due(self, moment: float, has_progress: bool, n_killed: int) -> bool:
        return time.monotonic() > moment and has_progress and (self._most is None or n_killed < self._most)

    def _kill_worker(self) -> None:
        workers = [child for node in self._nodes.worker_nodes for child in workers_of(node)]
        if workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._rng.choice(workers).kill()
                self.workers_killed += 1


def workers_of(node: Any) -> list[psutil.Process]:
    """Return the worker processes of a node, idle ones included.

    Towards the end of a run the only busy worker must not be the only target.
    """
    found = []
    for raylet in node.all_processes.get("raylet", []):
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(raylet.process.pid).children(recursive=True)
            found += [
                child
                for child in children
                if " ".join(child.cmdline()).startswith(("ray::IDLE", "ray::run_task"))
            ]
    return found


def start(
    nodes: Any, given: Path, diary: Path, storage: Folders | Buckets, name: str, one_in: int
) -> "subprocess.Popen[bytes]":
    refuses = 0 if storage.fails_by_itself else one_in
    house = os.environ | {"RAY_ADDRESS": nodes.address, ONE_IN: str(refuses), DIARY: str(diary)}
    return subprocess.Popen(
        [*DRIVER, str(given), storage.uri(name)], cwd=given.parent, env=house, stdout=subprocess.DEVNULL
    )


def finish(driver: "subprocess.Popen[bytes]", deadline: float) -> int:
    """Return how a driver ended; a driver that still runs at the deadline is killed."""
    try:
        return driver.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        driver.kill()
        return driver.wait()


def run_disturbed(
    chaos: Chaos,
    begin: Callable[[], "subprocess.Popen[bytes]"],
    tables: Callable[[], set[str]],
    kill_at: list[int],
    deadline: float,
) -> tuple[int, int]:
    """Run to the end under chaos, and kill the driver at the numbers of shards in kill_at.

    Return how many drivers were killed and started.
    """
    killed, started, left = 0, 0, list(kill_at)
    while time.monotonic() < deadline:
        driver = begin()
        started += 1
        while driver.poll() is None and time.monotonic() < deadline:
            n_shards = len(tables())
            chaos.step(n_shards)
            if left and n_shards >= left[0]:
                left.pop(0)
                driver.kill()
                killed += 1
            time.sleep(0.1)
        if finish(driver, deadline) == 0:
            break
    return killed, started


if __name__ == "__main__":
    main()
