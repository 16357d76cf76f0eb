"""Executor on Ray: one task a shard, a bounded window of them in flight, the data put into the object store once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, TypeVar

# Ray reads these when it is imported. A driver on one machine needs no token; a cluster's recipe sets its own mode.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray

from pipeline.core.errors import ExecutionError
from pipeline.runtime.execution import Need, Outcome, attempt

T = TypeVar("T")

# A few shards queued behind those that run keep workers busy; more would only pile up in the driver.
WINDOW_PER_CPU = 2
MAX_RETRIES = 3
OBJECT_STORE_BYTES = 512 << 20


def connect(n_cpus: int | None = None) -> None:
    """Join the cluster at RAY_ADDRESS, or start Ray on this machine; does nothing if this process is connected already."""
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS", "local")
    local: dict[str, Any] = {"num_cpus": n_cpus, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES} if address == "local" else {}
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False, **local)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise ExecutionError(f"Ray at {address!r} cannot be reached ({error}); check RAY_ADDRESS, or use --executor serial") from error
    finally:
        # Ray's own handler of SIGTERM aborts the process with a dump; whoever set one before wants to end in order.
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


class RayExecutor(Generic[T]):
    """Runs function(task, shared, device) as Ray tasks. A lost worker or node costs a retry; a task whose resources never come is an error, not silence."""

    def __init__(self, function: Callable[[T, Any, str], Any], shared: Any, *, stall_seconds: float = 60.0) -> None:
        connect()
        self._function, self.shared = function, ray.put(shared)
        self._patience = Patience(stall_seconds)
        self._tasks: dict[ray.ObjectRef, tuple[T, Need]] = {}
        self._window = max(2, int(WINDOW_PER_CPU * ray.cluster_resources().get("CPU", 1)))

    def has_room(self) -> bool:
        """See Executor."""
        return len(self._tasks) < self._window

    def submit(self, task: T, need: Need) -> None:
        """See Executor."""
        run = ray.remote(retry_exceptions=[OSError], **options_of(need))(run_task)
        self._tasks[run.remote(self._function, task, self.shared)] = (task, need)

    def wait(self, seconds: float) -> list[Outcome[T]]:
        """See Executor."""
        if not self._tasks:
            return []
        done, _ = ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        more, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        finished = list(dict.fromkeys([*done, *more]))
        return [self._collect(ref) for ref in finished] + self._stalled()

    @property
    def n_running(self) -> int:
        """See Executor."""
        return len(self._tasks)

    def close(self) -> None:
        """See Executor."""
        for ref in self._tasks:
            ray.cancel(ref, force=True)
        self._tasks = {}

    def _collect(self, ref: "ray.ObjectRef") -> Outcome[T]:
        task, _ = self._tasks.pop(ref)
        try:
            outcome = ray.get(ref)
        except ray.exceptions.RayError as error:
            return Outcome(task, error=f"{said(error)} (after {MAX_RETRIES} retries)", trace=str(error))
        return Outcome(task, outcome.result, outcome.error, outcome.trace)

    def _stalled(self) -> list[Outcome[T]]:
        """Give up tasks whose needs no living node has met for long."""
        hopeless = self._patience.hopeless({need for _, need in self._tasks.values()})
        outcomes = []
        for ref in [ref for ref, (_, need) in self._tasks.items() if need in hopeless]:
            ray.cancel(ref, force=True)
            task, need = self._tasks.pop(ref)
            outcomes.append(Outcome(task, error=hopeless[need]))
        return outcomes


class Patience:
    """How long needs that no living node meets are waited for: Ray itself would wait for ever, in silence."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._unmet_since: float | None = None

    def hopeless(self, needs: Collection[Need]) -> dict[Need, str]:
        """Return the error of each of these needs that is to be given up: none unless some were unmet at every look for so many seconds."""
        alive = [node for node in ray.nodes() if node["Alive"]] if needs else []
        nodes = [node["Resources"] for node in alive]
        unmet = [need for need in needs if not any(_fits(need, node["Resources"]) and has_labels(need, node.get("Labels") or {}) for node in alive)]
        if not unmet:
            self._unmet_since = None
            return {}
        self._unmet_since = self._unmet_since or time.monotonic()
        if time.monotonic() - self._unmet_since < self._seconds:
            return {}
        waited = f"none has come for {self._seconds:.0f} s; the largest has {_largest(nodes)}"
        remedy = "lower `resources` in the config or add such a node"
        return {need: f"ExecutionError: no node offers {_described(need)} and {waited}: {remedy}" for need in unmet}


def options_of(need: Need) -> dict[str, Any]:
    """Return a need as Ray spells it, for something that is retried when its worker is lost."""
    options: dict[str, Any] = {"num_cpus": need.num_cpus, "num_gpus": need.num_gpus, "max_retries": MAX_RETRIES}
    if need.memory_bytes is not None:
        options["memory"] = need.memory_bytes
    return options | ({"resources": dict(need.custom)} if need.custom else {}) | ({"label_selector": dict(need.labels)} if need.labels else {})


def run_task(function: Callable[[T, Any, str], Any], task: T, shared: Any) -> Outcome[T]:
    """Return the outcome of function(task, shared, device), the device being the one that Ray lends to this task."""
    # A task with num_gpus=0 sees the node's GPUs all the same, so torch must not be asked.
    device = "cuda:0" if ray.get_gpu_ids() else "cpu"
    return attempt(lambda one, where: function(one, shared, where), task, device)


def said(error: ray.exceptions.RayError) -> str:
    """Return what Ray says of an error, in one line."""
    reason = str(error).strip().splitlines()
    return f"{type(error).__name__}: {reason[0] if reason else 'lost'}"


def _wanted(need: Need) -> dict[str, float]:
    wanted = {"CPU": float(need.num_cpus), "GPU": need.num_gpus, "memory": float(need.memory_bytes or 0), **dict(need.custom)}
    return {name: amount for name, amount in wanted.items() if amount}


def _described(need: Need) -> str:
    return f"{_wanted(need)}" + (f" with labels {dict(need.labels)}" if need.labels else "")


def _fits(need: Need, node: dict[str, float]) -> bool:
    return all(node.get(name, 0.0) >= amount for name, amount in _wanted(need).items())


def has_labels(need: Need, labels: Mapping[str, str]) -> bool:
    """Return whether a node with these labels is one that need selects, as Ray itself decides."""
    for name, selector in need.labels:
        values = selector.removeprefix("!").removeprefix("in(").removesuffix(")").replace(" ", "").split(",")
        if (labels.get(name) in values) is selector.startswith("!"):
            return False
    return True


def _largest(nodes: list[dict[str, float]]) -> dict[str, float]:
    largest = max(nodes, key=lambda node: node.get("CPU", 0.0), default={})
    return {name: amount for name, amount in largest.items() if name in ("CPU", "GPU", "memory")}
