"""The nodes of populations that are trained here.

One function trains the models of all roles, such as subset, held-out, full, oracle and floor.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
from typing_extensions import override

from pipeline.core.errors import CorruptShardError, StoreError
from pipeline.core.fingerprint import digest
from pipeline.core.registry import Plugin, identity
from pipeline.core.seeds import model_purpose, seed
from pipeline.data.dataset import Dataset
from pipeline.data.masks import pack_masks
from pipeline.evaluation.accuracy import accuracy
from pipeline.graph.logits_layout import Layout
from pipeline.graph.node import Parent, Work
from pipeline.graph.nodes.models import Models
from pipeline.graph.reading.group_lines import read_lines
from pipeline.models.base import Model
from pipeline.store.shards import Piece
from pipeline.store.store import Shard, Store, TableRef
from pipeline.training.ensemble import Builder, States, compute_logits, join, n_members, take
from pipeline.training.populations import member_masks, train_members
from pipeline.training.recipe.recipe import Recipe

CHECKPOINT = "safetensors"
# The roles of the two focused populations of a forget set. Member i of both keeps the same points outside the
# forget set. Only the first population keeps the forget set.
FOCUSED_IN, FOCUSED_OUT = "focused_in", "focused_out"


@dataclass(frozen=True, kw_only=True)
class Population(Models):
    """n_units models of one role, trained here.

    keep_fraction is the share of the points that a model keeps, None for all points. Subsets are random; with
    groups_key they drop whole groups. n_seeds is the number of seeds that subset models share, so that
    attribution can remove the effect of the seed. forget_key is the key of the forget set that oracles leave
    out, and that one model of each focused pair leaves out. saves_states: weights are kept beside the shards.
    """

    resources_key: ClassVar[str] = "train"
    trains: ClassVar[bool] = True
    revision: ClassVar[int] = 2

    dataset: Dataset
    model: Model
    recipe: Recipe
    layout: Layout
    seed: int
    keep_fraction: float | None = None
    groups_key: str | None = None
    n_seeds: int | None = None
    forget_key: str | None = None
    saves_states: bool = False

    @property
    @override
    def keeping(self) -> str | None:
        return CHECKPOINT if self.saves_states else None

    @property
    @override
    def retrainings_per_unit(self) -> float:
        """The cost of one model; a model that sees half of the points counts half."""
        return self.keep_fraction or 1.0

    @property
    @override
    def cost_key(self) -> str:
        return digest(["train", identity(self.model), identity(self.recipe)])

    @override
    def settings(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "seed": self.seed,
            "dataset": identity(self.dataset),
            "model": identity(self.model),
            "recipe": identity(self.recipe),
            "keep_fraction": self.keep_fraction,
            "n_seeds": self.n_seeds,
            "layout": identity(self.layout),
        }

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (self.dataset, self.model)

    @override
    def parents(self) -> dict[str, Parent]:
        groups = {} if self.groups_key is None else {"groups": Parent(self.groups_key)}
        return groups | ({} if self.forget_key is None else {"forget": Parent(self.forget_key, "content")})

    @override
    def compute(self, work: Work) -> Shard:
        """Train members start to stop and record masks, logits on all points and accuracies."""
        examples = work.examples
        forget = work.read("forget")["index"] if self.forget_key else None
        members = range(work.start, work.stop)
        purpose = self._purpose(forget)
        lines = read_lines(work) if self.groups_key else None
        masks = member_masks(
            purpose,
            members,
            n_train=examples.n_train,
            keep_fraction=self.keep_fraction,
            forget=forget,
            lines=lines,
            keeps_forget=self.role == FOCUSED_IN,
        )
        seeds = [self._seed(purpose, member) for member in members]
        build = Builder(self.model, examples.input_shape, examples.n_classes)
        data = work.feed
        states = train_members(build, self.recipe, data, masks=masks, seeds=seeds, kind=work.kind)
        logits = compute_logits(build(), states, data, kind=work.kind)
        columns = {
            "member": np.arange(work.start, work.stop),
            "seed": np.array(seeds),
            "mask": pack_masks(masks),
            **self.layout.columns(logits),
            "accuracy_train": accuracy(logits[:, : examples.n_train], examples.labels[: examples.n_train]),
            "accuracy_validation": accuracy(
                logits[:, examples.n_train :], examples.labels[examples.n_train :]
            ),
        }
        return Shard(columns=columns, beside={CHECKPOINT: encode_states(states)} if self.saves_states else {})

    def _purpose(self, forget: np.ndarray | None) -> str:
        """Return the text from which masks and the members' own seeds are derived.

        The two focused populations of a forget set have the same text, so their masks agree outside the set.
        """
        name = "focused" if self._is_focused else self.role
        return model_purpose(self.seed, name, keep_fraction=self.keep_fraction, forget=forget)

    @property
    def _is_focused(self) -> bool:
        return self.role in (FOCUSED_IN, FOCUSED_OUT)

    def _seed(self, purpose: str, member: int) -> int:
        """Return the seed of a member.

        With n_seeds it is one of n_seeds seeds that subset models of all roles share. In a focused population
        it is the seed of the full model of the same number. Otherwise it is the member's own seed.
        """
        if self.n_seeds is not None:
            return seed(model_purpose(self.seed, "shared"), "member", member % self.n_seeds)
        return seed(model_purpose(self.seed, "full") if self._is_focused else purpose, "member", member)


def encode_states(states: States) -> bytes:
    """Return states as the bytes of a safetensors file (never pickle)."""
    return safetensors.torch.save({name: value.contiguous().cpu() for name, value in states.items()})


def read_states(store: Store, table: TableRef, start: int, stop: int, *, ending: str = CHECKPOINT) -> States:
    """Return the states of members start to stop, from the files with this ending beside the shards."""
    parts = []
    for piece in table.pieces:
        first, last = max(start, piece.start), min(stop, piece.stop)
        if first < last:
            parts.append(_states_of(store, table.folder, piece, first, last, ending))
    return join(parts)


def _states_of(store: Store, folder: str, piece: Piece, first: int, last: int, ending: str) -> States:
    content = store.read_beside(folder, piece.shard, ending)
    try:
        states = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise CorruptShardError(
            f"the file beside {folder}/{piece.shard} is not a safetensors checkpoint ({error}); run "
            "`dmm verify --repair`"
        ) from error
    n_kept, n_read = n_members(states), last - piece.shard.start
    if n_read > n_kept:
        said = f"{folder}/{piece.shard} keeps the weights of its first {n_kept} models, but {n_read} are read"
        raise StoreError(f"{said}; a judge that reads weights must name `states` in its `needs`")
    return take(states, first - piece.shard.start, n_read)
