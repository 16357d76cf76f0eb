"""The Ray cluster that runs tasks: joining it, listing its machines, and noticing that it is gone."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.execution.ray_environment import auth_mode

# Ray reads these variables on import. A Ray that is started here needs no token; a process that joins a
# cluster uses the token it has.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault(
    "RAY_AUTH_MODE", auth_mode() if (os.environ.get("RAY_ADDRESS") or "local") != "local" else "disabled"
)
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray.util.client

from pipeline.core.errors import ExecutionError
from pipeline.core.long_waits import announced
from pipeline.core.resources import Need
from pipeline.execution.ray.address import LOCAL, check_answers, check_temporary_folder, wanted_address

OBJECT_STORE_BYTES = 512 << 20
_LOOK_SECONDS = 1.0
# The cluster counts as gone when its head (the machine that coordinates it) has not answered for so many
# seconds. A head that restarts is back sooner. Ray itself would end this process after 60 s, with a dump
# instead of a message.
GONE_SECONDS = 30.0
# Seconds after which users are told that no machine offers what a task needs. The task goes on waiting,
# because an autoscaler takes minutes to add a machine.
CLUSTER_SAID_AFTER = 4.0
# The label that Ray gives every node, with the node's id. Tasks use it to avoid nodes that do not see the
# store.
NODE_LABEL = "ray.io/node-id"


def connect(n_cpus: int | None = None) -> None:
    """Join the cluster at RAY_ADDRESS, or start Ray on this machine.

    Does nothing if this process is connected already. Raises ConfigError or ExecutionError, within seconds,
    if neither works.
    """
    if ray.is_initialized():
        return
    address = wanted_address()
    local: dict[str, Any] = {}
    if address == LOCAL:
        check_temporary_folder()
        local = {"num_cpus": n_cpus, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        check_answers(address)
    doing = "Ray starts on this machine" if address == LOCAL else f"Ray at {address!r} accepts this command"
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with announced(f"waiting until {doing}"):
            ray.init(address=address, logging_level="ERROR", log_to_driver=False, **local)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        if address == LOCAL:
            remedy = (
                "set RAY_TMPDIR to a short path that can be written"
                if isinstance(error, OSError)
                else "fix the cause"
            )
            raise ExecutionError(
                f"Ray cannot be started on this machine ({error}); {remedy}, or use --executor serial"
            ) from error
        raise ExecutionError(
            f"Ray at {address!r} cannot be reached ({error}); check RAY_ADDRESS, or use --executor serial"
        ) from error
    finally:
        # ray.init sets its own signal handlers, and its handler of SIGTERM aborts the process with a dump.
        # The earlier handlers end the process in order, so they are set again.
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def busy_notice() -> str:
    """Return a notice that others use CPUs of the cluster, or an empty text if all CPUs are free."""
    total, free = (
        resources.get("CPU", 0.0) for resources in (ray.cluster_resources(), ray.available_resources())
    )
    if free >= total:
        return ""
    return (
        f"others use {total - free:g} of the {total:g} CPUs of this cluster, and tasks wait for "
        "free CPUs; Ctrl-C ends this run and loses nothing"
    )


class Lookout:
    """The machines of the cluster, listed every second by a background thread.

    The thread sends the requests, because a request to a head that is gone waits for ever.
    """

    def __init__(self) -> None:
        # A process that is connected through ray:// runs on no machine of the cluster.
        self._own = None if ray.util.client.ray.is_connected() else ray.get_runtime_context().get_node_id()
        self._nodes, self._seen = ray.nodes(), time.monotonic()
        self._over = threading.Event()
        threading.Thread(target=self._look, daemon=True, name="lookout").start()

    def machines(self) -> list[dict[str, float]]:
        """Return the resources and labels of each living machine, see machine_of.

        Raises ExecutionError if the head, or this process's own machine, is gone.
        """
        silent = time.monotonic() - self._seen
        if silent > GONE_SECONDS:
            raise gone(f"its head has not answered for {silent:.0f} s")
        living = {node["NodeID"]: machine_of(node) for node in self._nodes if node["Alive"]}
        if self._own is not None and self._own not in living:
            raise gone("the machine of this command is no longer part of it")
        return list(living.values())

    @property
    def answers(self) -> bool:
        """Whether the head answered in the last GONE_SECONDS seconds."""
        return time.monotonic() - self._seen <= GONE_SECONDS

    def close(self) -> None:
        """End the thread."""
        self._over.set()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            # A single failure, such as during a restart of the head, is ignored: only a long silence shows
            # that the head is gone.
            with contextlib.suppress(ray.exceptions.RayError, ConnectionError, RuntimeError):
                self._nodes, self._seen = ray.nodes(), time.monotonic()


class ConnectionPatience:
    """Limits the wait for needs that no living machine meets; Ray itself would wait for ever, in silence."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._unmet_since: dict[Need, float] = {}
        self.notice = ""

    def hopeless(self, needs: Collection[Need], machines: list[dict[str, float]]) -> dict[Need, str]:
        """Return an error for each of these needs that is given up.

        A need is given up if it was unmet at every check for `seconds`.
        """
        now, before = time.monotonic(), self._unmet_since
        unmet = self._unmet_since = {
            need: before.get(need, now)
            for need in needs
            if not any(offer_fits(need, machine) for machine in machines)
        }
        hopeless = [need for need, begun in unmet.items() if now - begun >= self.seconds]
        waiting = [
            need
            for need, begun in unmet.items()
            if min(CLUSTER_SAID_AFTER, self.seconds / 2) <= now - begun < self.seconds
        ]
        self.notice = self._word(waiting[0], machines) if waiting else ""
        since = f"none has come for {self.seconds:.0f} s; the largest has {_largest(machines)}"
        remedy = (
            "lower `resources` in the config, add such a node, or raise resources.patience_seconds "
            "if such a node takes longer to start"
        )
        return {
            need: f"ExecutionError: no node offers {_described(need)} and {since}: {remedy}"
            for need in hopeless
        }

    def _word(self, need: Need, machines: list[dict[str, float]]) -> str:
        return (
            f"waiting for a node that offers {_described(need)} (the largest has {_largest(machines)}), for "
            f"{self.seconds:.0f} s at most"
        )


def gone(reason: str) -> ExecutionError:
    """Return the error for a cluster that is gone."""
    return ExecutionError(
        f"the Ray cluster is gone: {reason}. Everything finished is kept; start the cluster and run the same "
        "command again"
    )


def _wanted(need: Need) -> dict[str, float]:
    wanted = {
        "CPU": float(need.num_cpus),
        "GPU": need.num_gpus,
        "memory": float(need.memory_bytes or 0),
        **dict(need.custom),
    }
    return {name: amount for name, amount in wanted.items() if amount}


def machine_of(node: Mapping[str, Any]) -> dict[str, float]:
    """Return the amount of each resource that a node offers; node is the entry in Ray's list of nodes.

    Each label of the node is included as `label:NAME=VALUE`, with the amount 1.
    """
    return {
        **node["Resources"],
        **{f"label:{name}={value}": 1.0 for name, value in (node.get("Labels") or {}).items()},
    }


def has_labels(need: Need, machine: Mapping[str, float]) -> bool:
    """Return whether a machine has the labels that need selects, by Ray's own rules."""
    for name, selector in need.labels:
        values = selector.removeprefix("!").removeprefix("in(").removesuffix(")").replace(" ", "").split(",")
        if any(f"label:{name}={value}" in machine for value in values) is selector.startswith("!"):
            return False
    return True


def _described(need: Need) -> str:
    labels = {name: selector for name, selector in need.labels if name != NODE_LABEL}
    seeing = " and sees the store" if len(labels) < len(need.labels) else ""
    return f"{_wanted(need)}" + (f" with labels {labels}" if labels else "") + seeing


def offer_fits(need: Need, machine: Mapping[str, float]) -> bool:
    """Return whether a machine offers what need asks for."""
    return has_labels(need, machine) and all(
        machine.get(name, 0.0) >= amount for name, amount in _wanted(need).items()
    )


def _largest(machines: list[dict[str, float]]) -> dict[str, float]:
    largest = max(machines, key=lambda machine: machine.get("CPU", 0.0), default={})
    return {name: amount for name, amount in largest.items() if name in ("CPU", "GPU", "memory")}
