"""Phases of training: a Phase holds the points, the objective and a Descent, the settings of the steps.

Phases with the same track share an optimiser and one learning-rate schedule, which spans all of them.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator

from pipeline.core.errors import ShapeError, TrainingError
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.training.recipe.augmentation import NOTHING, Augmentation
from pipeline.training.recipe.objectives import Objective, ascent, cross_entropy, squared_error

__all__ = ["Descent", "Moment", "Objective", "Phase", "ascent", "cross_entropy", "moments", "squared_error"]

OptimizerName: TypeAlias = Literal["sgd", "adam", "adamw", "rmsprop", "adafactor", "muon"]
ScheduleName: TypeAlias = Literal["constant", "linear", "cosine", "exponential", "triangle"]
WITH_NESTEROV = frozenset({"sgd", "muon"})


@dataclass(frozen=True)
class Moment:
    """The place of one step in a learning-rate schedule.

    step counts from 0 to n_steps - 1. epoch is the number of epochs done before this step, out of n_epochs;
    within an epoch it is a fraction. ends_epoch: whether this step is the last of an epoch of its phase.
    """

    step: int
    n_steps: int
    epoch: float
    n_epochs: int
    ends_epoch: bool = False


class Descent(Settings):
    """How a phase descends; `schedule` scales learning_rate, the highest rate, from step to step.

    schedule: linear and cosine fall to 0; exponential loses 5 % per epoch (as the authors of DMM do);
    triangle rises from 0 to the peak at `peak_epoch` and falls to 0. weight_decay_on: with `weights`, biases
    and normalisation layers have no weight decay. With `muon`, weight matrices and kernels move by
    orthogonalised momentum, and all other parameters by Adam at adam_rate_share of the rate.
    max_gradient_norm limits each member's own gradient.
    """

    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=10_000_000)
    learning_rate: float = Field(gt=0, le=1e6)
    optimizer: OptimizerName = setting(neutral="sgd")
    momentum: float = setting(neutral=0.0, ge=0, lt=1)
    nesterov: bool = setting(neutral=False)
    weight_decay: float = setting(neutral=0.0, ge=0, le=1e6)
    weight_decay_on: Literal["all", "weights"] = setting(neutral="all")
    adam_rate_share: float = setting(neutral=0.1, gt=0, le=1e6)
    schedule: ScheduleName = setting(neutral="constant")
    peak_epoch: float | None = setting(neutral=None, ge=0, le=100_000)
    max_gradient_norm: float | None = setting(neutral=None, gt=0, le=1e9)
    precision: Literal["float32", "bfloat16"] = setting(neutral="float32")
    memory_format: Literal["contiguous", "channels_last"] = setting(neutral="contiguous")

    @model_validator(mode="after")
    def _check_parts_agree(self) -> "Descent":
        if self.schedule == "triangle" and self.peak_epoch is None:
            raise ValueError(
                "schedule 'triangle' needs peak_epoch, the epoch at which the rate is highest; set it"
            )
        if self.schedule != "triangle" and self.peak_epoch is not None:
            raise ValueError(
                f"peak_epoch is for schedule 'triangle', not {self.schedule!r}; remove it or change schedule"
            )
        if self.nesterov and (self.optimizer not in WITH_NESTEROV or not self.momentum):
            raise ValueError(
                f"nesterov needs optimizer sgd or muon and a momentum above 0, got {self.optimizer} with "
                f"momentum {self.momentum:g}; set these or remove nesterov"
            )
        return self

    def check_peak(self) -> None:
        """Raise ValueError if the learning rate of a single phase would never reach its peak."""
        if self.peak_epoch is not None and self.peak_epoch > self.epochs:
            raise ValueError(
                f"peak_epoch is {self.peak_epoch:g}, after all {self.epochs} epochs; lower it or raise epochs"
            )

    def descent(self) -> "Descent":
        """Return a plain Descent with these settings, without those that a subclass adds."""
        return Descent.of(self)

    @classmethod
    def of(cls, settings: Settings) -> "Descent":
        """Return a Descent with the values that settings has for its fields; other fields are ignored."""
        return cls(
            **{
                name: getattr(settings, name)
                for name in cls.model_fields
                if name in type(settings).model_fields
            }
        )

    def learning_rate_at(self, moment: Moment) -> float:
        """Return the learning rate of one step."""
        share = moment.step / moment.n_steps
        match self.schedule:
            case "linear":
                return self.learning_rate * (1 - share)
            case "cosine":
                return self.learning_rate * (0.5 * (1 + math.cos(math.pi * moment.step / moment.n_steps)))
            case "exponential":
                return self.learning_rate * 0.95 ** math.floor(moment.epoch)
            case "triangle":
                return self.learning_rate * _triangle(moment.epoch, self.peak_epoch or 0.0, moment.n_epochs)
        return self.learning_rate


def _triangle(epoch: float, peak: float, n_epochs: int) -> float:
    """Return a height that rises from 0 at the start to 1 at peak and falls to 0 at n_epochs.

    If the peak is at either end, only one side remains.
    """
    return epoch / peak if epoch < peak else max(0.0, (n_epochs - epoch) / max(n_epochs - peak, 1e-12))


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of training: the members descend an objective on given points.

    points (n_members, n_listed): ids of the points that each member descends on; an id listed twice counts
    twice.

    targets: target logits by point id, for objectives that read them. They are (n_points, n_classes) for all
    members alike, or (n_members, n_points, n_classes), or None.

    n_points: if given, each epoch's order is drawn over all ids below n_points, and the listed ids are
    visited in that order; the list then has no repeats. Members of one seed visit the points they share in
    the same order. If not given, the order is drawn over the list.

    track: phases of the same track continue one optimiser with its moments, and one schedule that spans them.
    Their descents differ at most in epochs, batch_size and learning_rate. A phase without a track has its own
    optimiser and schedule.

    drop_last: whether an epoch leaves out a last batch that is smaller than the others. Training leaves such
    a batch out, fine-tuning keeps it.

    Raises TrainingError if no points are listed, and ShapeError if the targets do not fit the points.
    """

    points: Int[np.ndarray, "n_members n_listed"]
    objective: Objective
    descent: Descent
    drop_last: bool
    targets: Float[np.ndarray, "..."] | None = None
    n_points: int | None = None
    augmentation: Augmentation = NOTHING
    track: str | None = None

    def __post_init__(self) -> None:
        if self.points.shape[1] == 0:
            raise TrainingError("a phase lists no points, so it would have no steps; list at least one point")
        if self.targets is not None:
            self._check_targets(self.targets)

    def _check_targets(self, targets: Float[np.ndarray, "..."]) -> None:
        n_members, n_needed = len(self.points), int(self.points.max()) + 1
        fits = targets.ndim in (2, 3) and (targets.ndim == 2 or len(targets) == n_members)
        if not fits or targets.shape[-2] < n_needed:
            raise ShapeError(
                f"targets have shape {targets.shape}, but {n_members} members list points up to id "
                f"{n_needed - 1}; "
                f"targets are looked up by point id: give one row for each point of the data set, of shape "
                f"(n_points, n_classes) or ({n_members}, n_points, n_classes)"
            )

    @property
    def batch_size(self) -> int:
        """Points in a batch: the setting, or the length of the list if it is shorter."""
        return min(self.descent.batch_size, self.points.shape[1])

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch, at least 1 since a batch is never larger than the list."""
        n_listed = self.points.shape[1]
        return n_listed // self.batch_size if self.drop_last else math.ceil(n_listed / self.batch_size)

    @property
    def n_samples(self) -> int:
        """Samples that each member uses in gradient evaluations."""
        listed = self.steps_per_epoch * self.batch_size if self.drop_last else self.points.shape[1]
        return listed * self.descent.epochs


def tracks(phases: Sequence[Phase]) -> list[str | int]:
    """Return the track of each phase, or the phase's number if it has no track.

    Raises TrainingError if phases of one track cannot share an optimiser and a schedule.
    """
    found: dict[str, Descent] = {}
    free = dict.fromkeys(("epochs", "batch_size", "learning_rate"), 1)
    for phase in phases:
        shared = phase.descent.descent().model_copy(update=free)
        if phase.track is not None and found.setdefault(phase.track, shared) != shared:
            names = [
                name
                for name in Descent.model_fields
                if getattr(shared, name) != getattr(found[phase.track], name)
            ]
            raise TrainingError(
                f"phases of track {phase.track!r} differ in {', '.join(names)}, but share one optimiser and "
                "schedule; "
                "let them differ in epochs, batch_size and learning_rate only, or give them tracks of their "
                "own"
            )
    return [number if phase.track is None else phase.track for number, phase in enumerate(phases)]


def moments(phases: Sequence[Phase], steps_per_epoch: Sequence[int]) -> list[list[Moment]]:
    """Return, for each phase, the place of each step in the schedule of the phase's track.

    Raises the errors of `tracks`.
    """
    names = tracks(phases)
    n_steps, n_epochs, begun = (
        dict[str | int, int](),
        dict[str | int, int](),
        dict[str | int, tuple[int, int]](),
    )
    for name, phase, per_epoch in zip(names, phases, steps_per_epoch, strict=True):
        n_steps[name] = n_steps.get(name, 0) + phase.descent.epochs * per_epoch
        n_epochs[name] = n_epochs.get(name, 0) + phase.descent.epochs
    found = []
    for name, phase, per_epoch in zip(names, phases, steps_per_epoch, strict=True):
        step, epoch = begun.get(name, (0, 0))
        steps = itertools.product(range(phase.descent.epochs), range(per_epoch))
        found.append(
            [
                Moment(
                    step + done * per_epoch + within,
                    n_steps[name],
                    epoch + done + within / per_epoch,
                    n_epochs[name],
                    within + 1 == per_epoch,
                )
                for done, within in steps
            ]
        )
        begun[name] = (step + phase.descent.epochs * per_epoch, epoch + phase.descent.epochs)
    return found
