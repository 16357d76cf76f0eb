"""The proof that a run can be killed: after SIGKILLs at random shards, the tables are the same bit for bit.

It runs an experiment undisturbed, then again on another store while it kills the driver, then workers. It
compares the rows of all units of all tables. The units of a shard follow from measured seconds, so equal
tables may lie in shards of other ranges and names. After each kill of a driver `dmm status` must agree with
the shards on disk. It also grows the subset models by 37 with another shard size, damages shards and repairs
them, and lets two runs share one store. It prints one JSON object last; a broken promise is an error.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import psutil
from measure import parse, show

from pipeline.core.fingerprint import digest_bytes
from pipeline.graph.node_kinds import stages
from pipeline.store.shards import Piece, TableRef
from pipeline.store.store import Store

GROWN = 37
ROLES = ("full", "oracle", "floor")
SMALLEST = [
    "recipe.epochs=1",
    "recipe.ensemble=stacked",
    "store.shard_members=1",
    "estimator=ridge",
    "populations.designed=null",
    "populations.heldout=null",
    "judges={klom: {n_resamples: 20}, accuracy: {}}",
    'forget_sets={"random": {"name": "random", "n_points": 20, "seed": 0}}',
    'unlearners={"nothing": {"name": "no_op"}, "dm_direct": {"name": "dm_direct"}}',
    *(f"populations.{role}.n_models=4" for role in ROLES),
]


@dataclass(frozen=True)
class Dmm:
    """The commands of one experiment, each in its own process; commands that compute use executor."""

    settings: tuple[str, ...]
    executor: str

    def command(self, verb: str, store: Path, *words: str) -> list[str]:
        settings = [word for setting in self.settings for word in ("--set", setting)]
        computing = ["--executor", self.executor] if verb in ("run", "verify") else []
        return [
            sys.executable,
            "-m",
            "jobs",
            verb,
            "--store",
            str(store),
            "--json",
            *settings,
            *computing,
            *words,
        ]

    def ask(self, verb: str, store: Path, *words: str) -> dict[str, Any]:
        """Return the answer of a command, whatever its exit status."""
        done = subprocess.run(
            self.command(verb, store, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        return {**json.loads(done.stdout.splitlines()[-1]), "exit_status": done.returncode}

    def run(self, store: Path) -> dict[str, Any]:
        """Return the answer of `dmm run`, which must succeed."""
        answer = self.ask("run", store)
        if answer["exit_status"] != 0:
            sys.exit(f"dmm run ended with {answer['exit_status']}: {answer}")
        return answer

    def start(self, store: Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command("run", store),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subset", type=int, default=2000, help="subset models")
    parser.add_argument("--kills", type=int, default=5, help="drivers killed, and as many workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", help="store of an undisturbed run; made if left out")
    parser.add_argument(
        "--executor",
        choices=("ray", "serial"),
        default="ray",
        help="of every run but the one whose workers are killed",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one setting of the demonstration",
    )
    arguments = parse(parser, subset=8, kills=1, executor="serial", set=SMALLEST)
    rng = random.Random(arguments.seed)
    # Small shards give many moments to kill at.
    settings = ("store.shard_members=16", *arguments.set)
    dmm = Dmm((*settings, f"populations.subset.n_models={arguments.subset}"), arguments.executor)
    # Only the killed store is checked in MLflow.
    unseen = Dmm((*dmm.settings, "tracking.uri=none"), arguments.executor)
    grown = Dmm(
        (
            *unseen.settings,
            f"populations.subset.n_models={arguments.subset + GROWN}",
            "store.shard_members=64",
        ),
        arguments.executor,
    )
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(arguments.reference or f"{folder}/reference")
        begun = time.monotonic()
        unseen.run(reference)
        undisturbed = time.monotonic() - begun
        store, n_shards = Path(folder) / "killed", len(tables(reference))
        killed = kill_drivers(dmm, store, moments(rng, arguments.kills, 0, n_shards // 2))
        workers, gave_up = kill_workers(
            Dmm(dmm.settings, "ray"),
            store,
            rng,
            moments(rng, arguments.kills, n_shards // 2, n_shards * 3 // 4),
        )
        figures = {
            "drivers_killed": killed,
            "workers_killed": workers,
            "runs_that_gave_up_a_task": gave_up,
            "tables_equal": rows(store) == rows(reference),
            "n_shards": n_shards,
            "mlflow": parents(store),
            "undisturbed_seconds": round(undisturbed, 1),
            **grow(grown, store),
            **damage(grown, store, rng),
            **together(unseen, Path(folder) / "together", rows(reference)),
        }
    show("kill_and_resume", figures)
    if killed < arguments.kills or workers < arguments.kills:
        sys.exit("some runs ended before they could be killed; give more --subset models")
    promises = ("tables_equal", "together_equal", "damage_named", "repaired_equal", "old_shards_untouched")
    if not all(figures[promise] for promise in promises) or figures["grown_models_trained"] != GROWN:
        sys.exit("a promise is broken; see the figures above")


def tables(store: Path) -> set[str]:
    """Return the names of all shards of all tables: path, range and digest."""
    return {
        str(path.relative_to(store)) for stage in stages() for path in (store / stage).glob("*/*/*.parquet")
    }


def rows(folder: Path) -> dict[tuple[str, int], str]:
    """Return the digest of the rows of each unit of each table, whatever shards they lie in.

    A unit that lies in several shards must have equal rows in all of them.
    """
    store, found = Store(str(folder)), {}
    for table in sorted({path.parent for path in folder.glob("*/*/*/*.parquet")}):
        name, inside = str(table.parent.relative_to(folder)), str(table.relative_to(folder))
        for shard in store.shards(inside):
            read = store.read_rows(TableRef(inside, (Piece(shard, shard.start, shard.stop),)))
            ends = read.counts.cumsum()
            for unit, first, last in zip(
                range(shard.start, shard.stop), ends - read.counts, ends, strict=True
            ):
                content = b"".join(
                    column.encode() + values[first:last].tobytes()
                    for column, values in sorted(read.columns.items())
                )
                if found.setdefault((name, unit), digest_bytes(content)) != digest_bytes(content):
                    sys.exit(f"unit {unit} of {name} has other rows in {shard} than in another shard")
    return found


def moments(rng: random.Random, times: int, first: int, last: int) -> list[int]:
    """Return numbers of finished shards, one at random in each of `times` equal parts from first to last."""
    width = (last - first) / times
    return [1 + int(first + (part + rng.random()) * width) for part in range(times)]


def until(process: "subprocess.Popen[str]", store: Path, n_shards: int) -> bool:
    """Wait until n_shards are finished; return whether the process still runs."""
    while process.poll() is None and len(tables(store)) < n_shards:
        time.sleep(0.01)
    return process.poll() is None


def end(process: "subprocess.Popen[str]") -> None:
    """Kill a driver and the rest of its Ray processes, by pid."""
    below = descendants(process.pid)
    process.kill()
    process.wait()
    for child in below:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


def kill_drivers(dmm: Dmm, store: Path, at: list[int]) -> int:
    """Kill the driver at each number of finished shards.

    After each kill, check that status agrees with the disk.
    """
    killed = 0
    for number, n_shards in enumerate(at):
        process = dmm.start(store)
        killed += until(process, store, n_shards)
        end(process)
        check_status(dmm, store, number)
    return killed


def check_status(dmm: Dmm, store: Path, number: int) -> None:
    for node in dmm.ask("status", store)["nodes"]:
        listed = 0
        if node["folder"]:
            ranges = [
                path.name.split(".")[0].split("-")[1:] for path in (store / node["folder"]).glob("*.parquet")
            ]
            listed = sum(int(stop) - int(first) for first, stop in ranges)
        wrong = node["done"] != min(listed, node["wanted"]) or (node["status"] == "done") != (
            node["done"] == node["wanted"]
        )
        if wrong:
            sys.exit(f"after kill {number}: status says {node}, but {listed} are listed")


def kill_workers(dmm: Dmm, store: Path, rng: random.Random, at: list[int]) -> tuple[int, int]:
    """Kill a Ray worker at each number of finished shards; the run must still succeed.

    A run gives up a task whose process died three times, and says so. It is then started again. Return the
    number of workers killed and of runs that gave up a task.
    """
    process, killed, gave_up = dmm.start(store), 0, 0
    for n_shards in at:
        if not until(process, store, n_shards):
            gave_up += not ended_as_promised(process)
            process = dmm.start(store)
        killed += next(kills(process, rng), False)
    while not ended_as_promised(process):
        gave_up += 1
        process = dmm.start(store)
    return killed, gave_up


def ended_as_promised(process: "subprocess.Popen[str]") -> bool:
    """Wait for a run, and return whether it succeeded; the only other promise is to name lost processes."""
    answer = process.communicate()[0]
    if process.returncode == 0:
        return True
    failures = json.loads(answer.splitlines()[-1]).get("failures", [])
    if not failures or not all("its process died 3 times" in failure["error"] for failure in failures):
        sys.exit(f"a run whose workers were killed ended with {process.returncode}: {answer}")
    return False


def kills(driver: "subprocess.Popen[str]", rng: random.Random) -> Iterator[bool]:
    """Look for workers of a driver until there are some; then kill one and yield True."""
    while driver.poll() is None:
        workers = [
            child
            for child in descendants(driver.pid)
            if command_line(child).startswith(("ray::run_task", "ray::IDLE"))
        ]
        if workers:
            rng.choice(workers).kill()
            yield True
        time.sleep(0.01)


def descendants(pid: int) -> list[psutil.Process]:
    """Return all processes below pid, none if it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command_line(process: psutil.Process) -> str:
    """Return the command line of a process, empty if it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def parents(store: Path) -> dict[str, str]:
    """Return the status of each parent run in MLflow; there must be one, and it must be finished."""
    client = mlflow.MlflowClient(f"sqlite:///{store}/mlflow.db")
    experiment = client.get_experiment_by_name("unlearning")
    runs = [
        found
        for found in client.search_runs([experiment.experiment_id])
        if "mlflow.parentRunId" not in found.data.tags
    ]
    if len(runs) != 1 or runs[0].info.status != "FINISHED":
        sys.exit(
            "expected one finished parent run, found "
            f"{[(found.info.run_id, found.info.status) for found in runs]}"
        )
    return {found.info.run_id: found.info.status for found in runs}


def grow(dmm: Dmm, store: Path) -> dict[str, Any]:
    """Ask for more subset models, in shards of another size."""
    before = {path for path in tables(store) if path.startswith("train/")}
    status = {node["node"]: node["status"] for node in dmm.ask("status", store)["nodes"]}
    stale = sorted(name for name, state in status.items() if state == "stale")
    result = dmm.run(store)
    after = {path for path in tables(store) if path.startswith("train/")}
    trained = sum(
        int(name.split("-")[-1].split(".")[0]) - int(name.split("-")[-2]) for name in after - before
    )
    return {
        "grown_models_trained": trained,
        "grown_stale": len(stale),
        "grown_models_made": result["n_models_made"],
        "old_shards_untouched": before <= after,
    }


def damage(dmm: Dmm, store: Path, rng: random.Random) -> dict[str, Any]:
    """Truncate one shard and flip a bit in another.

    Verify must name both, and repair must make only these again.
    """
    before = tables(store)
    shards = sorted(path for path in before if path.startswith("train/subset"))
    cut, flipped = (store / name for name in rng.sample(shards, 2))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    content = bytearray(flipped.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    flipped.write_bytes(bytes(content))
    named = {problem["path"] for problem in dmm.ask("verify", store)["problems"]}
    found = {str(path.relative_to(store)) for path in (cut, flipped)} <= named
    result = dmm.ask("verify", store, "--repair")
    equal = tables(store) >= before and result["exit_status"] == 0
    return {"damage_named": found, "repaired_models_made": result["n_models_made"], "repaired_equal": equal}


def together(dmm: Dmm, store: Path, expected: dict[tuple[str, int], str]) -> dict[str, Any]:
    """Let two runs work on one store at once."""
    both = [dmm.start(store) for _ in range(2)]
    results = [json.loads(process.communicate()[0].splitlines()[-1]) for process in both]
    made = [result["n_models_made"] for result in results]
    return {
        "together_equal": rows(store) == expected,
        "together_made": made,
        "together_status": [process.returncode for process in both],
    }


if __name__ == "__main__":
    main()
