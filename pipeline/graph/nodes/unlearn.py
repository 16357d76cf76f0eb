"""The node of unlearning: one method, one forget set, and all models that the method starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.fingerprint import digest
from pipeline.core.registry import Plugin, identity, plugin_name
from pipeline.core.seeds import model_purpose, seed
from pipeline.graph.child_run import ChildRun, child_of_method
from pipeline.graph.logits_layout import Layout, read_logits
from pipeline.graph.node import Node, Parent, Work
from pipeline.graph.nodes.train import CHECKPOINT, encode_states
from pipeline.graph.reading.kept_states import ALL_STATES, encode_kept
from pipeline.graph.reading.stored_states import read_weights
from pipeline.models.base import Model
from pipeline.sources.base import ModelSource
from pipeline.store.store import Shard
from pipeline.training.ensemble import Builder, take
from pipeline.unlearning.unlearner import Request, Unlearned, Unlearner

# The column with the number of epochs or steps after which a snapshot was taken.
AFTER = "after"


@dataclass(frozen=True, kw_only=True)
class Unlearn(Node):
    """Member i is member i of the population that the unlearner starts from, after unlearning.

    The weights of the first save_members members are kept as checkpoints.

    With snapshots, a member has one row for each snapshot, and the last row is the result. Each snapshot of
    the saved members has a checkpoint. With saves_states, the weights of all members are kept in files beside
    the shards. method is the label of the unlearner in the config.
    """

    stage: ClassVar[str] = "unlearn"
    title: ClassVar[str] = "unlearn models"
    entry: ClassVar[str] = "unlearn"
    resources_key: ClassVar[str] = "unlearn"
    trains: ClassVar[bool] = True

    forget_set: str
    method: str
    unlearner: Unlearner
    seed: int
    model: Model
    layout: Layout
    start_key: str
    start_source: ModelSource | None = None
    forget_key: str
    effect_key: str | None = None
    teacher_key: str | None = None
    save_members: int = 1
    saves_states: bool = False

    @property
    @override
    def keeping(self) -> str | None:
        """The ending of the files with states; None if none are kept or the unlearner moves no weights."""
        return ALL_STATES if self.saves_states and self.unlearner.moves_weights else None

    @property
    @override
    def group(self) -> str:
        return f"{self.stage}/{self.method}"

    @property
    @override
    def child(self) -> ChildRun:
        return child_of_method(self.method, self.forget_set)

    @property
    @override
    def cost_key(self) -> str:
        return digest(["unlearn", identity(self.unlearner), identity(self.model)])

    @override
    def settings(self) -> dict[str, Any]:
        kept = {"save_members": self.save_members} if self.save_members != 1 else {}
        # The identity of a source's table may not include the architecture, but unlearning from its weights
        # depends on it.
        built = {} if self.start_source is None else {"model": identity(self.model)}
        return (
            {"unlearner": identity(self.unlearner), "seed": self.seed, "layout": identity(self.layout)}
            | kept
            | built
        )

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (*(() if self.start_source is None else (self.model,)), self.unlearner)

    @override
    def parents(self) -> dict[str, Parent]:
        needed = {"effect": self.effect_key, "teacher": self.teacher_key}
        evidence = {name: Parent(key) for name, key in needed.items() if key is not None}
        return {
            "start": Parent(self.start_key, "aligned"),
            "forget": Parent(self.forget_key, "content"),
        } | evidence

    @override
    def compute(self, work: Work) -> Shard:
        """Unlearn members start to stop and record their logits on all points and the samples used."""
        examples, start = work.examples, work.inputs["start"].part(work.start, work.stop)
        forget = work.read("forget")["index"]
        build = Builder(self.model, examples.input_shape, examples.n_classes)
        data = work.feed
        template = build()
        states = read_weights(
            work.store,
            work.inputs["start"],
            work.start,
            work.stop,
            source=self.start_source,
            template=template,
        )
        purpose = model_purpose(self.seed, plugin_name(self.unlearner), forget=forget)
        request = Request(
            template=template,
            states={name: value.to(work.device) for name, value in states.items()},
            logits=read_logits(work.store, start, self.layout, examples.n_points),
            data=data,
            forget=forget,
            retain=np.setdiff1d(np.arange(examples.n_train), forget),
            seeds=[seed(purpose, "unlearn", member) for member in range(work.start, work.stop)],
            kind=work.kind,
            effect=work.read("effect", ["mean"])["mean"] if self.effect_key else None,
            oracle_logits=self._teachers(work) if self.teacher_key else None,
            n_saved=work.stop - work.start if self.keeping else self._n_checkpoints(work),
        )
        return self._shard(work, request, self.unlearner.unlearn(request))

    def _shard(self, work: Work, request: Request, answer: Unlearned) -> Shard:
        members = np.arange(work.start, work.stop)
        n_saved = self._n_checkpoints(work)
        saves = n_saved > 0 and self.unlearner.moves_weights
        blobs = {CHECKPOINT: encode_states(take(answer.states, 0, n_saved))} if saves else {}
        beside = {ALL_STATES: encode_kept(answer)} if self.keeping else {}
        if not answer.snapshots:
            samples = np.full(len(members), answer.n_samples)
            columns = {"member": members, "samples": samples, **self.layout.columns(answer.logits)}
            return Shard(columns=columns, blobs=blobs, beside=beside)
        if saves:
            for number, snapshot in enumerate(answer.snapshots[:-1]):
                blobs[snapshot_checkpoint(number)] = encode_states(take(snapshot.states, 0, n_saved))
        n_rows = len(answer.snapshots)
        columns = {
            "member": members.repeat(n_rows),
            AFTER: np.tile([snapshot.after for snapshot in answer.snapshots], len(members)),
            "samples": np.tile([snapshot.n_samples for snapshot in answer.snapshots], len(members)),
            **_interleaved([self.layout.columns(snapshot.logits) for snapshot in answer.snapshots]),
        }
        return Shard(columns=columns, blobs=blobs, beside=beside, rows_per_unit=[n_rows] * len(members))

    def _n_checkpoints(self, work: Work) -> int:
        """Return how many members of a shard, from its first on, have checkpoints."""
        return max(0, min(self.save_members, work.stop) - work.start)

    def _teachers(self, work: Work) -> np.ndarray:
        """Return one oracle's logits for each member.

        Member i gets oracle i; if there are fewer oracles than members, the oracles are used again in turn.
        """
        table = work.inputs["teacher"]
        logits = read_logits(work.store, table, self.layout, work.examples.n_points)
        return logits[np.arange(work.start, work.stop) % len(logits)]


def snapshot_checkpoint(number: int) -> str:
    """Return the ending of the checkpoint of a snapshot (from 0); that of the last snapshot is CHECKPOINT."""
    return f"snapshot_{number:06d}.{CHECKPOINT}"


def _interleaved(snapshots: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the columns of all snapshots; the snapshots of a member follow each other."""
    n_rows = len(snapshots) * len(next(iter(snapshots[0].values())))
    joined = {name: np.stack([columns[name] for columns in snapshots], axis=1) for name in snapshots[0]}
    return {name: values.reshape(n_rows, *values.shape[2:]) for name, values in joined.items()}
