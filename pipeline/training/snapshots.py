"""Snapshots: the models at moments of a descent, with the cost up to then.

A snapshot changes no bit of the result: states are only read, outputs are computed in evaluation mode on a
copy of the model, and torch's random numbers are left unchanged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from pipeline.core.arrays import Logits
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.training.ensemble import States, device_of, join, take


class Snapshots(Settings):
    """When snapshots are taken: every so many epochs or steps, counted through all phases, and at the end."""

    every: int = setting(neutral=1, ge=1, le=1_000_000_000)
    unit: Literal["epoch", "step"] = setting(neutral="epoch")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Models at one moment of a descent.

    after: epochs or steps taken so far, in the unit of `Snapshots.unit`. n_samples: samples that each member
    has used so far in gradient evaluations. logits: the outputs in evaluation mode. states: the states of the
    first members only, as many as are kept; there may be none.
    """

    after: int
    n_samples: int
    logits: Logits
    states: States


def take_snapshot(
    states: States,
    evaluate: Callable[[States], Logits],
    *,
    after: int,
    n_samples: int,
    n_kept: int,
) -> Snapshot:
    """Return a snapshot of members in their current state, with a copy of the states of the first n_kept."""
    device = device_of(states)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        logits = evaluate(states)
    return Snapshot(after=after, n_samples=n_samples, logits=logits, states=take(states, 0, n_kept))


class Recorder:
    """Takes snapshots while groups of members descend one after the other.

    evaluate returns the logits of states. n_samples is the number of samples that each member uses in the
    whole descent. The recorder takes no snapshot at its end: the caller adds that one, because the caller has
    the final states and logits. n_kept is the number of members, counted from the first, whose states are
    kept.
    """

    def __init__(
        self,
        when: Snapshots,
        evaluate: Callable[[States], Logits],
        *,
        n_samples: int,
        n_kept: int,
    ) -> None:
        self._when, self._evaluate, self._total, self._n_kept = when, evaluate, n_samples, n_kept
        self._groups: list[list[Snapshot]] = []
        self._n_members = self._count = self._n_samples = self._n_before = 0

    def begin(self, members: Sequence[int]) -> None:
        """Start the next group of members; a member that is listed twice counts once."""
        self._n_before += self._n_members
        self._n_members, self._count, self._n_samples = len(set(members)), 0, 0
        self._groups.append([])

    def drop_group(self) -> None:
        """Drop the group that was started last, because it is tried again in smaller groups."""
        self._groups.pop()
        self._n_members = 0

    def step(self, states: Callable[[], States], *, n_points: int, ends_epoch: bool) -> None:
        """Count a step of the group on n_points points, and take a snapshot if one is due.

        states returns the states after the step.
        """
        self._n_samples += n_points
        counts = ends_epoch or self._when.unit == "step"
        self._count += counts
        if not counts or self._count % self._when.every or self._n_samples >= self._total:
            return
        group = {name: value[: self._n_members] for name, value in states().items()}
        n_kept = min(max(self._n_kept - self._n_before, 0), self._n_members)
        mark = {"after": self._count, "n_samples": self._n_samples}
        self._groups[-1].append(take_snapshot(group, self._evaluate, n_kept=n_kept, **mark))

    @property
    def count(self) -> int:
        """Epochs or steps that the last group has taken."""
        return self._count

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots before the end, of all members together."""
        return [_joined(parts) for parts in zip(*self._groups, strict=True)]


def _joined(parts: Sequence[Snapshot]) -> Snapshot:
    logits, states = np.concatenate([part.logits for part in parts]), join(part.states for part in parts)
    return Snapshot(after=parts[0].after, n_samples=parts[0].n_samples, logits=logits, states=states)
