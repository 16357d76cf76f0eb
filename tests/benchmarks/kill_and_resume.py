"""The proof that a run can be killed: SIGKILL the driver, then workers, at random moments; the tables come out bit for bit the same.

Runs an experiment undisturbed, then again on another store with kills, and compares the names of all shards (each carries the digest of its bytes). After
each kill `dmm status` must agree with what is listed on disk. Also: grow the subset models by 37 with another shard size, damage shards and repair them, and
let two runs share one store. Prints one JSON object last; any broken promise is an error.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlflow
import psutil

from pipeline.graph import STAGES

DMM = [sys.executable, "-m", "jobs"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subset", type=int, default=2000, help="subset models")
    parser.add_argument("--kills", type=int, default=5, help="drivers killed, and as many workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", help="store of an undisturbed run; made if left out")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        settings = ["--set", f"populations.subset.n_models={arguments.subset}"]
        reference = Path(arguments.reference or f"{folder}/reference")
        begun = time.monotonic()
        run(reference, settings)
        undisturbed = time.monotonic() - begun
        store = Path(folder) / "killed"
        killed = kill_drivers(store, settings, rng, arguments.kills, undisturbed)
        workers = kill_workers(store, settings, rng, arguments.kills)
        figures = {
            "drivers_killed": killed,
            "workers_killed": workers,
            "tables_equal": tables(store) == tables(reference),
            "n_shards": len(tables(reference)),
            "mlflow": parents(store),
            "undisturbed_seconds": round(undisturbed, 1),
            **grow(store, arguments.subset),
            **damage(store, ["--set", f"populations.subset.n_models={arguments.subset + 37}", "--set", "store.shard_members=64"], rng),
            **together(Path(folder) / "together", tables(reference), settings),
            "load": os.getloadavg()[0],
        }
    print(json.dumps(figures))
    if killed < arguments.kills or workers < arguments.kills:
        sys.exit("some runs ended before they could be killed; give more --subset models")
    if not (figures["tables_equal"] and figures["grown_models_trained"] == 37 and figures["together_equal"] and figures["repaired_equal"]):
        sys.exit("a promise is broken; see the figures above")


def command(verb: str, store: Path, settings: list[str]) -> list[str]:
    return [*DMM, verb, "--store", str(store), "--json", *settings]


def run(store: Path, settings: list[str]) -> dict:
    done = subprocess.run(command("run", store, settings), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"dmm run ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ask(verb: str, store: Path, settings: list[str]) -> dict:
    done = subprocess.run(command(verb, store, settings), capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1])


def tables(store: Path) -> set[str]:
    """Return the names of all shards of all tables: path, range and digest."""
    return {str(path.relative_to(store)) for stage in STAGES for path in (store / stage).glob("*/*/*.parquet")}


def start(store: Path, settings: list[str]) -> subprocess.Popen:
    return subprocess.Popen(command("run", store, settings), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)


def end(process: subprocess.Popen) -> None:
    """Kill a driver and whatever of its Ray is still there, by pid."""
    descendants = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    for child in descendants:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


def kill_drivers(store: Path, settings: list[str], rng: random.Random, times: int, seconds: float) -> int:
    """Kill the driver at random moments spread over the run; check after each that status agrees with the disk."""
    killed = 0
    for number in range(times):
        process = start(store, settings)
        # Ray needs some seconds to start; then each attempt lives for a random part of what is left.
        deadline = time.monotonic() + 8 + rng.uniform(0.05, 0.9) * max(seconds - 8, 5) / times
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        killed += process.poll() is None
        end(process)
        check_status(store, settings, number)
    return killed


def check_status(store: Path, settings: list[str], number: int) -> None:
    for node in ask("status", store, settings)["nodes"]:
        listed = 0
        if node["folder"]:
            ranges = [path.name.split(".")[0].split("-")[1:] for path in (store / node["folder"]).glob("*.parquet")]
            listed = sum(int(stop) - int(first) for first, stop in ranges)
        wrong = node["done"] != min(listed, node["wanted"]) or (node["status"] == "done") != (node["done"] == node["wanted"])
        if wrong:
            sys.exit(f"after kill {number}: status says {node}, but {listed} are listed")


def kill_workers(store: Path, settings: list[str], rng: random.Random, times: int) -> int:
    """Kill Ray workers while a run goes on; it must end well all the same."""
    process, killed = start(store, settings), 0
    driver = psutil.Process(process.pid)
    deadline = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(rng.uniform(2, 6))
        if killed < times and process.poll() is None:
            workers = [child for child in driver.children(recursive=True) if command_line(child).startswith(("ray::run_task", "ray::IDLE"))]
            if workers:
                rng.choice(workers).kill()
                killed += 1
    if process.returncode != 0:
        sys.exit(f"a run whose workers were killed ended with {process.returncode}")
    return killed


def command_line(process: psutil.Process) -> str:
    """Return how a process calls itself, nothing if it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def parents(store: Path) -> dict[str, str]:
    """Return the status of each parent run in MLflow: there must be one, and it must be finished."""
    client = mlflow.MlflowClient(f"sqlite:///{store}/mlflow.db")
    experiment = client.get_experiment_by_name("unlearning")
    runs = [found for found in client.search_runs([experiment.experiment_id]) if "mlflow.parentRunId" not in found.data.tags]
    if len(runs) != 1 or runs[0].info.status != "FINISHED":
        sys.exit(f"expected one finished parent run, found {[(found.info.run_id, found.info.status) for found in runs]}")
    return {found.info.run_id: found.info.status for found in runs}


def grow(store: Path, n_models: int) -> dict:
    """Ask for 37 more subset models, in shards of another size."""
    before = {path for path in tables(store) if path.startswith("train/")}
    settings = ["--set", f"populations.subset.n_models={n_models + 37}", "--set", "store.shard_members=64"]
    status = {node["node"]: node["status"] for node in ask("status", store, settings)["nodes"]}
    stale = sorted(name for name, state in status.items() if state == "stale")
    result = run(store, settings)
    after = {path for path in tables(store) if path.startswith("train/")}
    trained = sum(int(name.split("-")[-1].split(".")[0]) - int(name.split("-")[-2]) for name in after - before)
    return {"grown_models_trained": trained, "grown_stale": len(stale), "grown_models_made": result["n_models_made"], "old_shards_untouched": before <= after}


def damage(store: Path, settings: list[str], rng: random.Random) -> dict:
    """Truncate one shard and flip a byte in another; verify must name both and repair must remake just them."""
    before = tables(store)
    shards = sorted(path for path in before if path.startswith("train/subset"))
    cut, flipped = (store / name for name in rng.sample(shards, 2))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    content = bytearray(flipped.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    flipped.write_bytes(bytes(content))
    named = {problem["path"] for problem in ask("verify", store, settings)["problems"]}
    found = {str(path.relative_to(store)) for path in (cut, flipped)} <= named
    repaired = subprocess.run([*command("verify", store, settings), "--repair"], capture_output=True, text=True, check=False)
    result = json.loads(repaired.stdout.splitlines()[-1])
    return {"damage_named": found, "repaired_models_made": result["n_models_made"], "repaired_equal": tables(store) >= before and repaired.returncode == 0}


def together(store: Path, expected: set[str], settings: list[str]) -> dict:
    """Let two runs work on one store at once."""
    both = [start(store, settings) for _ in range(2)]
    results = [json.loads(process.communicate()[0].splitlines()[-1]) for process in both]
    made = [result["n_models_made"] for result in results]
    return {"together_equal": tables(store) == expected, "together_made": made, "together_status": [process.returncode for process in both]}


if __name__ == "__main__":
    main()
