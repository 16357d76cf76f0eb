"""A node: one table of the graph.

A node has the settings that determine the content of the table, and it computes one shard at a time. It does
not depend on plans or clusters.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from pipeline.core.registry import Plugin, Settings, plugin_name
from pipeline.core.resources import Grant, Need
from pipeline.core.settings.paths import paths_in
from pipeline.data.examples import Examples
from pipeline.graph.child_run import ChildRun
from pipeline.store.store import Shard, Store, TableRef
from pipeline.training.ensemble import Kind
from pipeline.training.feed_choice import FeedChoice
from pipeline.training.feeds import Feed, open_feed

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
SELECTOR = rf"^!?(?:{_LABEL}|in\({_LABEL}(?:, ?{_LABEL})*\))$"


# The rank of a node that few other nodes wait for, see Node.rank.
LAST = 2


class Resources(Settings):
    """Resources that one task of a stage asks of the cluster; the task computes with num_cpus threads.

    A fraction in num_gpus shares one GPU and limits torch to that fraction of its memory. custom holds
    amounts of Ray's custom resources by name. labels holds, by label, a condition on the machine's value,
    spelled as in Ray's label selectors: `a`, `!a`, `in(a, b)` or `!in(a, b)`.
    """

    num_cpus: int = Field(default=1, ge=1, le=100_000)
    num_gpus: float = Field(default=0.0, ge=0, le=10_000)
    memory_gb: float | None = Field(default=None, gt=0, le=1e6)
    custom: dict[str, Annotated[float, Field(gt=0, le=1e9)]] = Field(default_factory=dict)
    labels: dict[str, Annotated[str, Field(pattern=SELECTOR)]] = Field(default_factory=dict)

    @field_validator("num_gpus")
    @classmethod
    def _whole_above_one(cls, num_gpus: float) -> float:
        if num_gpus > 1 and num_gpus != int(num_gpus):
            raise ValueError(
                "a task gets a part of one GPU or several whole ones; give a fraction below 1 or a whole "
                "number"
            )
        return num_gpus

    @property
    def grant(self) -> Grant:
        """The resources that a task may use on the machine that runs it."""
        return Grant(memory_bytes=self.need.memory_bytes, num_cpus=self.num_cpus, num_gpus=self.num_gpus)

    @property
    def need(self) -> Need:
        """The resources that a task asks of an executor."""
        memory = None if self.memory_gb is None else int(self.memory_gb * 2**30)
        custom, labels = tuple(sorted(self.custom.items())), tuple(sorted(self.labels.items()))
        return Need(
            num_cpus=self.num_cpus, num_gpus=self.num_gpus, memory_bytes=memory, custom=custom, labels=labels
        )


@dataclass(frozen=True)
class Parent:
    """How a node depends on another node, whose key is given.

    evidence: the node reads the whole table, so its identity includes every shard that it read. aligned: unit
    i reads only unit i of the parent, so both tables can grow together. content: only the content of the
    table matters (the ids of a forget set), not how it was computed or what it is called.
    """

    key: str
    mode: Literal["evidence", "aligned", "content"] = "evidence"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One shard to compute: units start to stop, the tables of the parents, the data, and the device.

    kind says whether models run stacked (many at once) or looped (one by one). common is the result of
    Node.common; without it, the node reads these inputs itself. grant holds the resources that the task may
    use.
    """

    start: int
    stop: int
    store: Store
    inputs: Mapping[str, TableRef]
    examples: Examples
    device: str
    kind: Kind
    common: Any = None
    grant: Grant = field(default_factory=Grant)

    @property
    def feed(self) -> Feed:
        """The examples on the device, held as a whole or read batch by batch; opened on first use."""
        return self._opened[0]

    @property
    def feed_choice(self) -> FeedChoice | None:
        """Which feed was opened and why; None if none was opened yet."""
        return self._opened[1] if "_opened" in vars(self) else None

    @cached_property
    def _opened(self) -> tuple[Feed, FeedChoice]:
        return open_feed(self.examples, self.device, self.grant)

    def read(self, name: str, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Return columns of the parent called name."""
        return self.store.read(self.inputs[name], columns)


@dataclass(frozen=True, kw_only=True)
class Node(ABC):
    """One table; `key` is its place in the graph and the name that users see.

    Units 0 to n_units are computed in shards of shard_size.

    The class holds all facts about its stage, such as the title, the rank and the child run. The fields hold
    all facts about the node, so no code takes a key apart. forget_set is the label of the forget set that the
    table is for, None if the table is for all of them. model_role is a role: the models that compute runs
    have the recipe that the config gives this role. If it is None, the recipe is that of the experiment, a
    field of the node, or not needed.
    """

    # The stage's folder in the store; part of the identity.
    stage: ClassVar[str]
    # The text on progress bars.
    title: ClassVar[str]
    # The stage of the command line that includes this stage, as in `dmm run --only ENTRY`.
    entry: ClassVar[str]
    # The key below `resources` in the config that holds the resources of a task of the stage.
    resources_key: ClassVar[str] = "compute"
    unit: ClassVar[str] = "members"
    trains: ClassVar[bool] = False
    # Whether the node has many similar shards that share a large input. An executor may then send them all to
    # workers that hold this input, see `common`.
    streams: ClassVar[bool] = False
    # Whether compute reads the experiment's examples. If not, a change of the examples does not affect the
    # node.
    reads_examples: ClassVar[bool] = True
    # Increment when compute() changes.
    revision: ClassVar[int] = 1

    key: str
    forget_set: str | None = None
    model_role: str | None = None
    n_units: int = 1
    shard_size: int = 1
    resources: Resources = field(default_factory=Resources)

    @property
    def slug(self) -> str:
        """The beginning of the name of the table's folder; the digest of the question follows.

        It is the name of a plug-in, a role or the stage, never a label that a user chose.
        """
        named = plugin_name(self.plugins()[-1]) if self.plugins() else self.stage
        return re.sub(r"[^A-Za-z0-9_]+", ".", named)

    @property
    def keeping(self) -> str | None:
        """The ending of a file that lies beside every shard of the table; None if there is none.

        A shard is done only if this file is listed too.
        """
        return None

    @property
    def group(self) -> str:
        """The name that listings give to all tables that differ only in the forget set."""
        return self.key if self.forget_set is None else self.stage

    @property
    def rank(self) -> int:
        """The place in the queue of tasks: a lower rank runs sooner.

        Nodes that many others wait for have a low rank.
        """
        return LAST

    @property
    def retrainings_per_unit(self) -> float:
        """The cost of one unit in trainings of a model on all points."""
        return 0.0

    @property
    def cost_key(self) -> str | None:
        """A key that is shared by all tables whose units take about equally long.

        Seconds measured for one of these tables decide how many units a shard of the others has. The key is
        None if a unit takes almost no time.
        """
        return None

    @property
    def child(self) -> ChildRun | None:
        """The child run of MLflow that shows the table; None if the parent run shows it."""
        return None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the JSON-ready settings that determine the content.

        The parents and the number of units are not among them.
        """

    def circumstances(self) -> dict[str, Any]:
        """Return JSON-ready values that are part of the version of the table but not of its question.

        If they change, an existing table counts as stale. If settings change, it counts as another table.
        """
        return {}

    @abstractmethod
    def plugins(self) -> tuple[Plugin, ...]:
        """Return the plug-ins whose revisions the content depends on."""

    def file_readers(self) -> tuple[Plugin, ...]:
        """Return the plug-ins whose files compute reads, except plug-ins whose files count as data."""
        return tuple(plugin for plugin in self.plugins() if not plugin.reads_data and any(paths_in(plugin)))

    def unit_contents(self, start: int, stop: int) -> tuple[str, ...]:
        """Return one digest for each of units start to stop, over the files of that unit.

        The result is empty if units have no files of their own.
        """
        return ()

    def at_work(self) -> tuple[Plugin, ...]:
        """Return the plug-ins whose code compute runs; errors in their code are reported with their names."""
        return tuple(value for value in vars(self).values() if isinstance(value, Plugin))

    @abstractmethod
    def parents(self) -> dict[str, Parent]:
        """Return the parents by the names under which compute reads them."""

    def common(self, work: Work) -> Any:
        """Return the input that all shards of a streaming node share, so that a machine holds it only once.

        It reaches compute as Work.common. work has no units.
        """
        return None

    @abstractmethod
    def compute(self, work: Work) -> Shard:
        """Return the shard of units work.start to work.stop, a pure function of settings and inputs."""
