"""The progress of a run, counted from the listings of its store.

This works on any machine that sees the store, without contact to the run itself.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.running.store_presence import why_no_store
from jobs.session import Session
from pipeline.execution.failures import Failure, read_failures
from pipeline.graph.graph import NodeState
from pipeline.graph.node_kinds import by_title
from pipeline.store.shards import ShardName, cover
from pipeline.tracking.rate import Pace

# At most this many side files of new shards are read at each look. A side file names the host that made the
# shard, and when.
_MOST_SIDE_FILES = 8


@dataclass(frozen=True, kw_only=True)
class StageLook:
    """The progress of the nodes of a stage that share a title.

    done and wanted are in units. pace is in units a second over about the last minute. seconds_left is the
    time left at that pace, None if unknown.
    """

    stage: str
    title: str
    unit: str
    done: int
    wanted: int
    shards: int
    pace: float
    seconds_left: float | None


@dataclass(frozen=True, kw_only=True)
class Look:
    """The state of the store at one moment.

    set_aside counts bad shards that were moved out of unfinished tables, and failed lists shards that were
    given up. makers maps hosts to how many of the newest shards they made. silence is the time in seconds
    since the last of these was written, None if unknown. nothing_there is the reason why there is no store,
    None if there is one.
    """

    store: str
    stages: tuple[StageLook, ...]
    is_complete: bool
    set_aside: int
    nothing_there: str | None = None
    failed: tuple[Failure, ...] = ()
    makers: Mapping[str, int] = field(default_factory=dict)
    silence: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-ready."""
        failed = [
            {"node": one.key, "start": one.start, "stop": one.stop, "error": one.error} for one in self.failed
        ]
        return {
            **self.__dict__,
            "stages": [stage.__dict__ for stage in self.stages],
            "makers": dict(self.makers),
            "failed": failed,
        }


class Watcher:
    """Counts what is done in a store each time look() is called.

    Tables that are done are not listed again. The whole graph is surveyed again only if a table became done.
    """

    def __init__(self, session: Session) -> None:
        self._graph, self._store = session.graph, session.store
        self._states = self._graph.survey(self._store)
        self._done = {key: state.n_done for key, state in self._states.items()}
        self._shards = {key: {piece.shard for piece in state.pieces} for key, state in self._states.items()}
        self._newest: list[tuple[str, ShardName]] = self._last_of_each()
        self._makers: dict[str, int] = {}
        self._written_at: float | None = None
        self._paces: dict[str, Pace] = {}

    def look(self) -> Look:
        """Return the current state."""
        self._update()
        self._ask_makers()
        now, looks = time.monotonic(), list[StageLook]()
        for title, nodes in by_title(self._graph.nodes.values()).items():
            done, wanted = sum(self._done[node.key] for node in nodes), sum(node.n_units for node in nodes)
            pace = self._paces.setdefault(title, Pace(60.0)).update(now, done)
            unit = "models" if any(node.trains for node in nodes) else nodes[0].unit
            shards = sum(len(self._shards[node.key]) for node in nodes)
            left = Pace.seconds_left(wanted - done, pace)
            about: dict[str, Any] = {"stage": nodes[0].stage, "title": title, "unit": unit, "shards": shards}
            looks.append(StageLook(**about, done=done, wanted=wanted, pace=pace, seconds_left=left))
        return Look(
            store=self._store.uri,
            stages=tuple(looks),
            is_complete=not any(state.status != "done" for state in self._states.values()),
            set_aside=sum(len(self._store.set_aside(state.table.folder)) for state in self._unfinished()),
            nothing_there=None if self._shards_found() else why_no_store(self._store),
            failed=tuple(read_failures(self._store, self._unfinished())),
            makers=self._makers,
            silence=None if self._written_at is None else max(0.0, time.time() - self._written_at),
        )

    def _update(self) -> None:
        """List the tables that were not done at the last look.

        If one of them is done now, survey the whole graph, because the folders of tables that waited for it
        are known only now.
        """
        unfinished = self._unfinished()
        for state in unfinished:
            found = set(self._store.shards(state.table.folder, keeping=state.node.keeping))
            self._take(
                state, found, sum(piece.stop - piece.start for piece in cover(found, state.node.n_units))
            )
        if any(self._done[state.node.key] == state.node.n_units for state in unfinished):
            self._states = self._graph.survey(self._store)
            for state in self._states.values():
                self._take(state, {piece.shard for piece in state.pieces}, state.n_done)

    def _take(self, state: NodeState, found: set[ShardName], n_done: int) -> None:
        key = state.node.key
        self._newest += [(state.table.folder, shard) for shard in found - self._shards[key]]
        self._shards[key], self._done[key] = found, n_done

    def _shards_found(self) -> bool:
        return any(self._shards.values())

    def _unfinished(self) -> list[NodeState]:
        return [
            state for state in self._states.values() if state.folder is not None and state.status != "done"
        ]

    def _last_of_each(self) -> list[tuple[str, ShardName]]:
        """Return the last shard of each unfinished table, or of each table if no unfinished one has shards.

        A listing gives no times, so these are taken for the newest shards.
        """
        states = [state for state in self._unfinished() if state.pieces] or [
            state for state in self._states.values() if state.pieces
        ]
        return [(state.table.folder, state.pieces[-1].shard) for state in states]

    def _ask_makers(self) -> None:
        """Read which hosts made the newest shards, and when."""
        if not self._newest:
            return
        sides = [self._store.side(folder, shard) for folder, shard in self._newest[-_MOST_SIDE_FILES:]]
        hosts = [side["host"] for side in sides if "host" in side]
        self._makers = {host: hosts.count(host) for host in sorted(set(hosts))}
        self._written_at = max(
            [side["written_at"] for side in sides if "written_at" in side], default=self._written_at
        )
        self._newest = []
