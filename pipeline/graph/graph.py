"""The graph of an experiment: its nodes, their identities, and which of their tables exist.

`dmm plan`, `dmm status`, `dmm verify` and `dmm run` all use `Graph.survey` to see which tables exist.

The folder of a table is `stage/slug-QUESTION/VERSION`. The question is a digest of the settings of the node
and of the questions of its parents; a forget set counts by its ids. The version is a digest of the revisions
of plug-ins, of the data, and of the shards of the parents that were read. A folder with the same question and
another version is stale.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np

from pipeline.config import Experiment
from pipeline.core.arrays import Indices
from pipeline.core.errors import ConfigError, InputsNotReadError
from pipeline.core.fingerprint import digest, digest_arrays
from pipeline.core.registry import revision
from pipeline.data.examples import Examples
from pipeline.data.inputs import UnreadInputs
from pipeline.graph.node import Node
from pipeline.graph.nodes.forget import Forget
from pipeline.store.shards import Piece, cover, gaps
from pipeline.store.store import Store, TableRef

N = TypeVar("N", bound=Node)

# The number of the rules by which names of folders follow from settings. It is recorded beside each table.
# Increment when a change of these rules makes a run ignore existing tables. `dmm plan` then reports how many
# trained models in tables with a lower number are not reused.
IDENTITY = 2

_Status = Literal["done", "partial", "missing", "stale", "waiting"]


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """The state of a node.

    The status is `waiting` (for parents or for data), `missing`, `partial`, `stale` (computed from other
    inputs before) or `done`. question and folder are None while they are not known. pieces are the units that
    exist, inputs the tables of parents that can be read, by name.

    remade is set if all units exist, but some lack a file that must lie beside their shards, such as weights.
    It then holds all units. Those without the file are computed again, with equal bits.
    """

    node: Node
    status: _Status
    question: str | None
    folder: str | None
    pieces: tuple[Piece, ...] = ()
    inputs: Mapping[str, TableRef] = field(default_factory=dict)
    remade: tuple[Piece, ...] = ()

    @property
    def n_done(self) -> int:
        """The number of units that exist."""
        return sum(piece.stop - piece.start for piece in self.pieces)

    @property
    def is_ready(self) -> bool:
        """Whether everything that the node reads exists."""
        return self.folder is not None and all(name in self.inputs for name in self.node.parents())

    @property
    def missing(self) -> list[tuple[int, int]]:
        """The ranges of units that do not exist yet."""
        return gaps(self.pieces, self.node.n_units)

    @cached_property
    def table(self) -> TableRef:
        """The units that exist, as a table to read."""
        if self.folder is None:
            raise ConfigError(
                f"{self.node.key} cannot be read yet, because tables that it needs are not done; run "
                "`dmm run` first"
            )
        return TableRef(self.folder, self.pieces)


@dataclass(frozen=True)
class Graph:
    """The nodes of one experiment, parents first, and its data.

    digest identifies the experiment: its settings, and the content of the files that they name when the graph
    was built. data_digest is None if the content of the data is not known, because nothing has read the
    inputs since their files changed in size or time. Then no node that reads the data is known to be done.
    """

    experiment: Experiment
    examples: Examples
    nodes: Mapping[str, Node]
    data_digest: str | None
    digest: str
    _resolved: dict[str, Indices] = field(default_factory=dict, compare=False, repr=False)
    _revisions: dict[str, list[dict[str, Any]]] = field(default_factory=dict, compare=False, repr=False)
    _settings: dict[str, dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def find(self, kind: type[N], **fields: Any) -> N | None:
        """Return the first node of a kind whose fields have these values; None if there is none."""
        return next(_matching(self.nodes.values(), kind, fields), None)

    def get(self, kind: type[N], **fields: Any) -> N:
        """Return the first node of a kind whose fields have these values.

        Raises ConfigError if there is none.
        """
        found = self.find(kind, **fields)
        if found is None:
            about = "".join(f", {name} {value!r}" for name, value in fields.items())
            raise ConfigError(
                f"this experiment has no table of the stage {kind.stage!r}{about}; name one that it has"
            )
        return found

    def survey(
        self,
        store: Store,
        *,
        settled: frozenset[str] = frozenset(),
        before: Mapping[str, NodeState] | None = None,
        busy: Collection[str] = (),
    ) -> dict[str, NodeState]:
        """Return the state of every node.

        settled holds keys of populations that may be read although members are missing. The version of a node
        that reads such a population depends on the members that exist.

        The folders of nodes that were done in the survey `before` are not listed again, because each listing
        is a request to the object store. Nodes in `busy` keep their state of `before` without a listing,
        because the caller itself counts the units that it computes for them.
        """
        states: dict[str, NodeState] = {}
        homes = _Homes(store)
        for key, node in self.nodes.items():
            if before is not None and key in busy:
                states[key] = before[key]
            else:
                states[key] = self._state(store, homes, node, states, settled, (before or {}).get(key))
            if self._waits_for_inputs(store, states[key]):
                states[key] = replace(states[key], status="waiting")
        return states

    def _waits_for_inputs(self, store: Store, state: NodeState) -> bool:
        """Return whether a forget set is missing and depends on inputs that this command does not read."""
        if not isinstance(self.examples.inputs, UnreadInputs) or state.status != "missing":
            return False
        return (
            isinstance(state.node, Forget)
            and not state.node.rule.needs
            and self.forget_ids(store, state) is None
        )

    def _state(
        self,
        store: Store,
        homes: "_Homes",
        node: Node,
        states: Mapping[str, NodeState],
        settled: frozenset[str],
        before: NodeState | None,
    ) -> NodeState:
        question = self._question(store, node, states)
        if question is None:
            return NodeState(node=node, status="waiting", question=None, folder=None)
        home = _Home(node.stage, f"{node.slug}-{question}")
        inputs = _inputs(node, states, settled)
        # A parent that lacks only files such as weights is computed again with the same outputs. So a table
        # that was computed from these outputs is valid, and it is looked for first.
        for read in (inputs | _remade(node, states), inputs):
            version = self._version(node, states, read)
            if version is None:
                continue
            asked = NodeState(node=node, status="missing", question=question, folder=None, inputs=read)
            found = self._found(store, homes, home, version, asked, before)
            if found.remade:
                return replace(found, inputs=inputs)
            if found.status == "done" or read == inputs:
                return found
        answered = any(store.shards(f"{home}/{other}") for other in homes.versions(home))
        return NodeState(
            node=node, status=self._status_unknown(node, answered), question=question, folder=None
        )

    def _found(
        self,
        store: Store,
        homes: "_Homes",
        home: "_Home",
        version: str,
        asked: NodeState,
        before: NodeState | None,
    ) -> NodeState:
        """Return the state of a node whose version is known; asked has its question and its inputs."""
        node, folder = asked.node, f"{home}/{version}"
        if before is not None and before.status == "done" and before.folder == folder:
            return before
        pieces = tuple(
            cover(store.shards(folder, keeping=node.keeping) if homes.has(home) else (), node.n_units)
        )
        remade: tuple[Piece, ...] = ()
        if not gaps(pieces, node.n_units):
            status: _Status = "done"
        elif pieces:
            status = "partial"
        else:
            others = [name for name in homes.versions(home) if name != version]
            status = "stale" if any(store.shards(f"{home}/{other}") for other in others) else "missing"
        if status != "done" and node.keeping is not None and homes.has(home):
            there = cover(store.shards(folder), node.n_units)
            remade = () if gaps(there, node.n_units) else tuple(there)
        return replace(asked, status=status, folder=folder, pieces=pieces, remade=remade)

    def _status_unknown(self, node: Node, answered: bool) -> _Status:
        """Return the status of a node whose version is not known yet; answered: some version has shards."""
        if any(parent.mode == "evidence" for parent in node.parents().values()):
            return "stale" if answered and self.data_digest is not None else "waiting"
        # The node reads no table as evidence, so its version depends on the content of the data. A command
        # that reads no inputs may not know that content.
        return "waiting" if answered else "missing"

    def _question(self, store: Store, node: Node, states: Mapping[str, NodeState]) -> str | None:
        """Return the digest of a node's question; None while the ids of its forget set are not known."""
        asked: dict[str, Any] = {}
        for name, parent in node.parents().items():
            asked[name] = (
                self._content(store, states[parent.key])
                if parent.mode == "content"
                else states[parent.key].question
            )
            if asked[name] is None:
                return None
        return digest([node.stage, self._settings_of(node), asked])

    def _version(
        self, node: Node, states: Mapping[str, NodeState], inputs: Mapping[str, TableRef]
    ) -> str | None:
        """Return the digest of a node's version; None while a table or data that it depends on is not known.

        An aligned parent may still grow, so only its folder is part of the digest.
        """
        rests_on: dict[str, Any] = {}
        for name, parent in node.parents().items():
            folder = states[parent.key].folder
            if parent.mode == "evidence" and name in inputs:
                rests_on[name] = [folder, inputs[name].digest]
            elif parent.mode == "aligned" and folder is not None:
                rests_on[name] = folder
            elif parent.mode != "content":
                return None
        if node.reads_examples and self.data_digest is None:
            return None
        try:
            circumstances = node.circumstances()
        except InputsNotReadError:
            return None
        return digest([self._data_of(node), self._revisions_of(node), node.revision, circumstances, rests_on])

    def _revisions_of(self, node: Node) -> list[dict[str, Any]]:
        """Return the revisions of a node's plug-ins; they are computed once.

        A revision includes the content of the plug-in's files. If a file changes later, the worker refuses
        the shard, see Task.contents.
        """
        if node.key not in self._revisions:
            self._revisions[node.key] = [revision(plugin) for plugin in node.plugins()]
        return self._revisions[node.key]

    def _settings_of(self, node: Node) -> dict[str, Any]:
        """Return the settings of a node; they are computed once, because every survey asks for them."""
        if node.key not in self._settings:
            self._settings[node.key] = node.settings()
        return self._settings[node.key]

    def _data_of(self, node: Node) -> str | None:
        """Return the digest of the experiment's data; None for a node that does not read the data."""
        return self.data_digest if node.reads_examples else None

    def forget_ids(self, store: Store, state: NodeState) -> Indices | None:
        """Return the ids of the forget set of a node.

        They are read from the store if the node is done. If not, the rule selects them here. The result is
        None if the rule needs trained models, or inputs that this command does not read.
        """
        place = f"{state.folder} {state.table.digest}" if state.status == "done" else state.node.key
        if place not in self._resolved:
            if state.status == "done":
                self._resolved[place] = store.read(state.table)["index"]
            elif isinstance(state.node, Forget) and not state.node.rule.needs:
                # If the rule needs inputs and this command reads none, the ids stay unknown.
                with contextlib.suppress(InputsNotReadError):
                    self._resolved[place] = state.node.select(self.examples, None)
        return self._resolved.get(place)

    def _content(self, store: Store, state: NodeState) -> str | None:
        """Return the digest of a forget set's ids; None while they are not known."""
        indices = self.forget_ids(store, state)
        return None if indices is None else digest_arrays({"index": np.asarray(indices)})

    def contents_of(self, node: Node) -> dict[str, str]:
        """Return the digests of files that a node's version depends on, by the name of their plug-in."""
        named = [
            (name, found["content"])
            for found in self._revisions_of(node)
            if "content" in found
            for name in found
            if name not in ("content", "source")
        ]
        return dict(named)

    def describe(self, state: NodeState) -> dict[str, Any]:
        """Return a readable description of a node for the file beside its shards."""
        inputs = {
            name: {"folder": table.folder, "digest": table.digest} for name, table in state.inputs.items()
        }
        about = {"identity": IDENTITY, "stage": state.node.stage, "settings": state.node.settings()}
        about["revisions"] = self._revisions_of(state.node)
        return about | {"data": self._data_of(state.node), "inputs": inputs}


def states_of(states: Mapping[str, NodeState], kind: type[Node], **fields: Any) -> list[NodeState]:
    """Return the states of the nodes of a kind whose fields have these values, in order."""
    nodes = (state.node for state in states.values())
    return [states[node.key] for node in _matching(nodes, kind, fields)]


def _matching(nodes: Iterable[Node], kind: type[N], fields: Mapping[str, Any]) -> Iterator[N]:
    for node in nodes:
        if isinstance(node, kind) and all(getattr(node, name) == value for name, value in fields.items()):
            yield node


@dataclass(frozen=True)
class _Home:
    """The folder of all versions of a node's table."""

    stage: str
    name: str

    def __str__(self) -> str:
        return f"{self.stage}/{self.name}"


class _Homes:
    """The folders of tables that exist in a store, as one survey finds them.

    The folder of each stage is listed once, so a table that does not exist costs no request of its own.
    """

    def __init__(self, store: Store) -> None:
        self._files = store.files
        self._stages: dict[str, frozenset[str]] = {}

    def has(self, home: _Home) -> bool:
        """Return whether this folder exists in the store."""
        if home.stage not in self._stages:
            self._stages[home.stage] = frozenset(self._files.names(home.stage))
        return home.name in self._stages[home.stage]

    def versions(self, home: _Home) -> list[str]:
        """Return the names of the versions in this folder; empty if it does not exist."""
        return self._files.names(str(home)) if self.has(home) else []


def _remade(node: Node, states: Mapping[str, NodeState]) -> dict[str, TableRef]:
    """Return the tables of parents that have all units but lack files beside them, see NodeState.remade."""
    parents = {name: states[parent.key] for name, parent in node.parents().items()}
    return {
        name: TableRef(str(state.folder), state.remade) for name, state in parents.items() if state.remade
    }


def _inputs(node: Node, states: Mapping[str, NodeState], settled: frozenset[str]) -> dict[str, TableRef]:
    """Return the tables of parents that are done, or that are settled and hold at least 2 trained models."""
    inputs = {}
    for name, parent in node.parents().items():
        state = states[parent.key]
        if state.status == "done" or (state.node.trains and parent.key in settled and state.n_done >= 2):
            inputs[name] = state.table
    return inputs
