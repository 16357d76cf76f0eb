"""The task of one shard: what a worker computes, from which tables, and into which folder."""

import functools
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import threadpoolctl
import torch

from pipeline.core.errors import DataError
from pipeline.core.fingerprint import digest
from pipeline.core.plugin_calls import named_failures
from pipeline.core.registry import identity, plugin_name
from pipeline.core.settings.paths import paths_in
from pipeline.data.examples import Examples
from pipeline.graph.node import Node, Work
from pipeline.graph.nodes.imported import Evaluated
from pipeline.graph.nodes.train import Population
from pipeline.graph.nodes.unlearn import Unlearn
from pipeline.models.base import Model
from pipeline.store.listing_cache import ListingCache
from pipeline.store.store import Store, TableRef
from pipeline.store.visibility import check_visible
from pipeline.training.ensemble import Builder, Kind, why_descent_is_looped
from pipeline.training.feeds import open_feed
from pipeline.training.populations import choose_ensemble
from pipeline.training.recipe.recipe import Recipe
from pipeline.training.recipe.schedule import Descent
from pipeline.training.sizing import (
    EVALUATION_BATCH,
    Allowance,
    allowing,
    largest_evaluation_batch,
    memory_granted,
)

# Listings of folders that this process has read. They are used only to skip shards that exist already.
_LISTINGS = ListingCache()
# By folder and device: the model and the recipe of the task, and the path in the store of the file that
# records how such models run (see `_ensemble`).
_DECISIONS: dict[tuple[str, str], tuple[Model, Recipe, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Task:
    """Units start to stop of a node, to be written to a folder of the store.

    The store is at store_uri; store_mark is the content of its mark, by which a worker checks that it sees
    the same store. recipe is the recipe of the models that the node runs, see Node.model_role. contents holds
    digests of the files of the node's plug-ins when the folder was named, see Graph.contents_of.
    unit_contents holds a digest of the files of each unit, see Node.unit_contents.
    """

    node: Node
    folder: str
    start: int
    stop: int
    inputs: Mapping[str, TableRef]
    store_uri: str
    store_mark: str | None = None
    recipe: Recipe
    contents: Mapping[str, str] = field(default_factory=dict)
    unit_contents: tuple[str, ...] = ()
    # Whether a shard of this range existed before. The task is then not divided, so that tables computed from
    # the old shard stay valid.
    is_remade: bool = False

    def __str__(self) -> str:
        return f"{self.node.key} {self.node.unit} {self.start}-{self.stop}"

    def part(self, start: int, stop: int) -> "Task":
        """Return the task of units start to stop of this one.

        Its shard has another range, so it is not an existing shard that is computed again.
        """
        contents = self.unit_contents[start - self.start : stop - self.start]
        return replace(self, start=start, stop=stop, unit_contents=contents, is_remade=False)


def open_store(task: Task) -> Store:
    """Return the task's store; raises StoreUnseenError if this machine does not see it."""
    if task.store_mark is not None:
        check_visible(task.store_uri, task.store_mark)
    return Store(task.store_uri, mark=task.store_mark)


def compute_task(
    task: Task,
    examples: Examples,
    device: str,
    common: Any = None,
    *,
    open_store: Callable[[Task], Store] = open_store,
) -> dict[str, Any]:
    """Compute one shard, write it to the store, and return {"seconds", "made"}.

    If another run wrote the shard while this task waited, nothing is computed and "made" is False. common is
    the result of `read_common`. A worker that computes many shards of one node passes it; without it the node
    reads its inputs for this shard. open_store opens the task's store; a test may pass a function that opens
    an unreliable one.
    """
    begun = time.perf_counter()
    store = open_store(task)
    if _LISTINGS.holds(store, task.folder, task.start, task.stop, keeping=task.node.keeping):
        return {"seconds": 0.0, "made": False}
    threads = task.node.resources.num_cpus
    torch.set_num_threads(threads)
    _limit_memory(device, task.node.resources.num_gpus)
    grant = task.node.resources.grant
    allowed = Allowance(memory_bytes=memory_granted(device, grant))
    with named_failures(task.node.at_work()), allowing(allowed):
        kind, reason, batch = _ensemble(task, store, examples, device)
    work = Work(
        start=task.start,
        stop=task.stop,
        store=store,
        inputs=task.inputs,
        examples=examples,
        device=device,
        kind=kind,
        common=common,
        grant=grant,
    )
    # The last bits of a matrix product depend on the number of threads, so BLAS gets as many as torch.
    limited = _libraries(len(sys.modules)).limit(limits=threads)
    with limited, named_failures(task.node.at_work()), allowing(replace(allowed, evaluation_batch=batch)):
        shard = task.node.compute(work)
    check_contents(task)
    seconds = time.perf_counter() - begun
    side = (
        computing_environment(device)
        | _feed_facts(work)
        | {"seconds": round(seconds, 4), "ensemble": kind, "ensemble_reason": reason, "threads": threads}
    )
    store.write_shard(task.folder, task.node.unit, task.start, task.stop, shard, side=side)
    _LISTINGS.made(store, task.folder, task.start, task.stop)
    return {"seconds": seconds, "made": True}


def _feed_facts(work: Work) -> dict[str, str]:
    """Return how the inputs of a shard reached its device, and why; empty if the shard read none."""
    choice = work.feed_choice
    return {} if choice is None else {"feed": choice.kind, "feed_reason": choice.reason}


def check_contents(task: Task) -> None:
    """Raise DataError if a file no longer has the content that the shard's table rests on."""
    for plugin in task.node.file_readers():
        if plugin.content() != task.contents.get(plugin_name(plugin)):
            raise _changed(", ".join(map(str, paths_in(plugin))))
    found = task.node.unit_contents(task.start, task.stop)
    if found != task.unit_contents:
        first = next(
            (
                unit
                for unit, pair in enumerate(zip(found, task.unit_contents, strict=False))
                if pair[0] != pair[1]
            ),
            0,
        )
        paths = ", ".join(map(str, paths_in(task.node.plugins())))
        raise _changed(f"{task.node.key}: what {paths} holds of unit {task.start + first}")


def _changed(what: str) -> DataError:
    return DataError(
        f"{what} changed since the run began, or differs on this machine; run the command again "
        "when it is the same on all machines"
    )


def _limit_memory(device: str, num_gpus: float) -> None:
    """Limit this process to its part of a GPU's memory.

    Ray assigns parts of a GPU to tasks, but does not limit the memory of a process. A process may have run a
    task with another limit before, so each task on a GPU sets its own limit.
    """
    if device.startswith("cuda") and num_gpus:
        torch.cuda.set_per_process_memory_fraction(min(1.0, num_gpus), device)


def read_common(task: Task, examples: Examples, device: str) -> Any:
    """Return the input that all shards of the task's node share, see Node.common; None if there is none."""
    grant = task.node.resources.grant
    work = Work(
        start=0,
        stop=0,
        store=open_store(task),
        inputs=task.inputs,
        examples=examples,
        device=device,
        kind="looped",
        grant=grant,
    )
    with named_failures(task.node.at_work()):
        return task.node.common(work)


@functools.lru_cache(maxsize=1)
def _libraries(n_modules: int) -> threadpoolctl.ThreadpoolController:
    """Return a controller of the threads of all libraries loaded so far.

    Finding the libraries takes 4 ms, so the result is cached. Only an import loads more libraries, so the
    key of the cache is n_modules, the number of imported modules.
    """
    return threadpoolctl.ThreadpoolController()


def computing_environment(device: str) -> dict[str, Any]:
    """Return the host, the device, the CPU's abilities and the versions that compute a shard, and the time.

    The bits of a shard may depend on these as well as on its inputs, so bit-for-bit equality is promised only
    within one such environment.
    """
    return {
        "host": platform.node(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "versions": versions(),
        "written_at": round(time.time(), 3),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, torch and NumPy."""
    return {"Python": platform.python_version(), "torch": torch.__version__, "NumPy": np.__version__}


def _ensemble(task: Task, store: Store, examples: Examples, device: str) -> tuple[Kind, str, int]:
    """Return how members run (stacked or looped), why, and how many points are evaluated at once.

    The first task with a model, a recipe and a kind of device decides this, and the store records it, so that
    oracles and unlearned models run alike. An unlearner whose descent cannot be stacked is looped anyway.
    """
    node = task.node
    if not isinstance(node, Population | Unlearn | Evaluated):
        return "looped", "no models are run", _recorded_batch(task, store, examples, device)
    # A Population may train a proxy with a recipe of its own, which task.recipe does not know.
    recipe = node.recipe if isinstance(node, Population) else task.recipe
    path = _decision(task, node.model, recipe, examples, device)
    decided = store.decided(path)
    if decided is None:
        build = Builder(node.model, examples.input_shape, examples.n_classes)
        data, _ = open_feed(examples, device, node.resources.grant)
        choice = choose_ensemble(build, recipe, data, examples.n_train)
        choice["evaluation_batch"] = largest_evaluation_batch(build(), data.first(1))
        decided = store.decide(path, choice)
    batch = decided.get("evaluation_batch", EVALUATION_BATCH)
    reason = (
        why_descent_is_looped(node.unlearner)
        if isinstance(node, Unlearn) and isinstance(node.unlearner, Descent)
        else None
    )
    return (decided["kind"], decided["reason"], batch) if reason is None else ("looped", reason, batch)


def _recorded_batch(task: Task, store: Store, examples: Examples, device: str) -> int:
    """Return the number of points evaluated at once that is recorded for the models that a node reads."""
    model = getattr(task.node, "model", None)
    decided = None if model is None else store.decided(_decision(task, model, task.recipe, examples, device))
    return (decided or {}).get("evaluation_batch", EVALUATION_BATCH)


def _decision(task: Task, model: Model, recipe: Recipe, examples: Examples, device: str) -> str:
    """Return the path in the store of the file that records how models run, see `_ensemble`.

    The path depends on the model, the recipe, the shape of the data and the kind of device. It is cached for
    each folder, because many shards share a folder and a digest takes longer than a look-up.
    """
    asked = (task.folder, device)
    known = _DECISIONS.get(asked)
    if known is None or known[:2] != (model, recipe):
        about = [identity(model), identity(recipe), list(examples.input_shape), examples.n_classes]
        # The path for CPUs names no device, so that choices are found which earlier releases recorded: these
        # ran on CPUs only.
        kind = [torch.cuda.get_device_name(device)] if device.startswith("cuda") else []
        known = _DECISIONS[asked] = (model, recipe, f"ensembles/{digest(about + kind)}.json")
    return known[2]
