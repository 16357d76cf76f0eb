"""A node: one table of the graph.

It says what determines its content and computes one shard; it knows nothing of stores, plans or clusters.
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


# The rank of a node that little else waits for.
LAST = 2


class Resources(Settings):
    """What one task of a stage asks of the cluster; num_cpus are also the threads it computes with.

    A fraction of a GPU shares one, and limits the memory that torch takes of it to that fraction. custom are
    amounts of resources that nodes are started with; labels must be those of the node, as Ray's label
    selectors spell them: `a`, `!a`, `in(a, b)` or `!in(a, b)`.
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
        """What a task has of its machine."""
        return Grant(memory_bytes=self.need.memory_bytes, num_cpus=self.num_cpus, num_gpus=self.num_gpus)

    @property
    def need(self) -> Need:
        """What a task asks of an executor."""
        memory = None if self.memory_gb is None else int(self.memory_gb * 2**30)
        custom, labels = tuple(sorted(self.custom.items())), tuple(sorted(self.labels.items()))
        return Need(
            num_cpus=self.num_cpus, num_gpus=self.num_gpus, memory_bytes=memory, custom=custom, labels=labels
        )


@dataclass(frozen=True)
class Parent:
    """How a node depends on another.

    evidence: it reads the whole table, so its identity includes every shard consumed. aligned: unit i reads
    unit i, so both grow together. content: only what the table says matters (the ids of a forget set), not
    how it came about or what it is called.
    """

    key: str
    mode: Literal["evidence", "aligned", "content"] = "evidence"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One shard to compute: units start to stop, the parents' tables, the data, and where.

    grant is what the task was granted of its machine; common is what the node's `common` returned, if known.
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
        """The examples on the device, all of them or batch by batch, opened when it is first asked for."""
        return self._opened[0]

    @property
    def feed_choice(self) -> FeedChoice | None:
        """Which feed was opened and why, None while none was asked for."""
        return self._opened[1] if "_opened" in vars(self) else None

    @cached_property
    def _opened(self) -> tuple[Feed, FeedChoice]:
        return open_feed(self.examples, self.device, self.grant)

    def read(self, name: str, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Return columns of the parent called name."""
        return self.store.read(self.inputs[name], columns)


@dataclass(frozen=True, kw_only=True)
class Node(ABC):
    """One table: `key` is its place in the graph and what users see.

    Units 0 to n_units are made in shards of shard_size.

    The class states the facts of its stage: title, entry, and by properties its rank and its child run.
    Nothing else lists them, and no reader takes a key apart: what a node is about stands in its fields.
    forget_set is the label of the forget set that the table is for, None if it is for all of them. model_role
    is the role whose model and recipe the models have that compute runs, None if these are the experiment's
    or no models are run.
    """

    # The stage's folder in the store; part of the identity.
    stage: ClassVar[str]
    # What users read on progress bars.
    title: ClassVar[str]
    # The entry that computes the stage, as in `python -m jobs.ENTRY`.
    entry: ClassVar[str]
    # The key below `resources` that says what a task of the stage may use.
    resources_key: ClassVar[str] = "compute"
    unit: ClassVar[str] = "members"
    trains: ClassVar[bool] = False
    # Whether its shards are many and alike, and rest on something large that they have in common: an executor
    # may stream them.
    streams: ClassVar[bool] = False
    # Whether compute reads the experiment's examples. A node that does not is unaffected when they change.
    reads_examples: ClassVar[bool] = True
    # Increment when what compute does changes.
    revision: ClassVar[int] = 1

    key: str
    forget_set: str | None = None
    model_role: str | None = None
    n_units: int = 1
    shard_size: int = 1
    resources: Resources = field(default_factory=Resources)

    @property
    def slug(self) -> str:
        """What the folder is called before its digests.

        The plug-in or role, never a label that a user chose.
        """
        named = plugin_name(self.plugins()[-1]) if self.plugins() else self.stage
        return re.sub(r"[^A-Za-z0-9_]+", ".", named)

    @property
    def keeping(self) -> str | None:
        """The ending of a file that lies beside every shard of the table, None without one.

        A shard is done when that is listed too.
        """
        return None

    @property
    def group(self) -> str:
        """What listings call the tables that differ only in the forget set."""
        return self.key if self.forget_set is None else self.stage

    @property
    def rank(self) -> int:
        """The place in the queue of tasks: the lower, the sooner. What much else waits for has a low one."""
        return LAST

    @property
    def retrainings_per_unit(self) -> float:
        """The cost of one unit in trainings of a model on all points."""
        return 0.0

    @property
    def cost_key(self) -> str | None:
        """What tables have in common whose units take about equally long.

        None where a unit takes no time to speak of.
        """
        return None

    @property
    def child(self) -> ChildRun | None:
        """The child run of MLflow that shows the table, None if the parent run does."""
        return None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the JSON-ready settings that determine the content, beside the parents and the number of units."""

    def circumstances(self) -> dict[str, Any]:
        """Return JSON-ready settings that change the answer but not the question.

        With others, what exists is stale rather than unrelated.
        """
        return {}

    @abstractmethod
    def plugins(self) -> tuple[Plugin, ...]:
        """Return the plug-ins whose revisions the content depends on."""

    def file_readers(self) -> tuple[Plugin, ...]:
        """Return the plug-ins of which compute reads files that are not part of the data."""
        return tuple(plugin for plugin in self.plugins() if not plugin.reads_data and any(paths_in(plugin)))

    def unit_contents(self, start: int, stop: int) -> tuple[str, ...]:
        """Return a digest of the files that each of units start to stop is read from.

        Nothing if units have no files of their own.
        """
        return ()

    def at_work(self) -> tuple[Plugin, ...]:
        """Return the plug-ins whose code compute runs."""
        return tuple(value for value in vars(self).values() if isinstance(value, Plugin))

    @abstractmethod
    def parents(self) -> dict[str, Parent]:
        """Return the parents by the name that compute reads them under."""

    def common(self, work: Work) -> Any:
        """Return what all shards of a node that streams read alike, so that a machine may hold it once.

        Work names no units.
        """
        return None

    @abstractmethod
    def compute(self, work: Work) -> Shard:
        """Return the shard of units work.start to work.stop: a pure function of settings and inputs."""
