"""What one phase of descent is: how far (Descent), towards what (an objective), over which points (Phase)."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from pipeline.core.errors import ShapeError, TrainingError
from pipeline.core.neutral import setting
from pipeline.core.registry import Settings

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]

# Element-wise update rules: the update of one parameter never reads another, so members stacked along an axis stay independent.
STACKABLE: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}
# Adafactor reads norms of whole tensors, so stacked members would leak into each other.
OPTIMIZERS = STACKABLE | {"adafactor": torch.optim.Adafactor}


class Descent(Settings):
    """How a phase descends; the learning rate is the peak that `schedule` scales step by step."""

    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1, le=10_000_000)
    learning_rate: float = Field(gt=0, le=1e6)
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop", "adafactor"] = setting(neutral="sgd")
    momentum: float = setting(neutral=0.0, ge=0, lt=1)
    weight_decay: float = setting(neutral=0.0, ge=0, le=1e6)
    schedule: Literal["constant", "linear", "cosine", "exponential"] = setting(neutral="constant")
    max_gradient_norm: float | None = setting(neutral=None, gt=0, le=1e9)
    precision: Literal["float32", "bfloat16"] = setting(neutral="float32")

    @classmethod
    def of(cls, settings: Settings) -> "Descent":
        """Return the settings of a descent that are among settings, which may hold others too."""
        return cls(**{name: getattr(settings, name) for name in cls.model_fields if name in type(settings).model_fields})

    def build_optimizer(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """Return the torch optimiser over parameters."""
        options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        if self.optimizer in ("sgd", "rmsprop"):
            options["momentum"] = self.momentum
        return OPTIMIZERS[self.optimizer](parameters, **options)

    def learning_rate_at(self, step: int, *, n_steps: int, steps_per_epoch: int) -> float:
        """Return the learning rate of one step: linear and cosine fall to 0 at n_steps, exponential loses 5 % an epoch (as the authors of DMM do)."""
        scale = {
            "constant": 1.0,
            "linear": 1 - step / n_steps,
            "cosine": 0.5 * (1 + math.cos(math.pi * step / n_steps)),
            "exponential": 0.95 ** (step // steps_per_epoch),
        }[self.schedule]
        return self.learning_rate * scale


def cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (batch, n_classes) on labels (batch,); targets are not read.

    Written out because vmap takes torch's own apart into slower pieces: a step of 50 stacked MLPs takes 14 % less this way.
    """
    return (torch.logsumexp(logits, dim=1) - logits.gather(1, labels[:, None])[:, 0]).mean()


def ascent(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the negative of the mean cross-entropy: descending it climbs the loss."""
    return -cross_entropy(logits, labels, targets)


def squared_error(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of logits to targets, both (batch, n_classes), averaged over batch and classes; labels are not read."""
    return F.mse_loss(logits, targets)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of descent for a group of members.

    points (n_members, n_listed): ids of the points each member descends on; an id listed twice weighs twice.
    targets (n_members, n_listed, n_classes): wanted logits for each listed point, for objectives that match; else None.
    n_points: with it, each epoch's order is drawn over all ids below n_points, of which the list (then without repeats) is visited: members of
    one seed meet the points they share in the same order. Without it the order is drawn over the list.
    Training drops a short last batch, fine-tuning keeps it. Raises ShapeError or TrainingError on lists that cannot be descended on.
    """

    points: Int[np.ndarray, "n_members n_listed"]
    objective: Objective
    descent: Descent
    drop_last: bool
    targets: Float[np.ndarray, "..."] | None = None
    n_points: int | None = None

    def __post_init__(self) -> None:
        if self.targets is not None and self.targets.shape[:2] != self.points.shape:
            raise ShapeError(f"targets are for {self.targets.shape[:2]} listed points but {self.points.shape} are listed; give one target for each")
        if self.points.shape[1] == 0:
            raise TrainingError("a phase lists no points, so it would take 0 steps; list at least one point")

    @property
    def batch_size(self) -> int:
        """Points in a batch: the setting, or the whole list where that is shorter."""
        return min(self.descent.batch_size, self.points.shape[1])

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch, at least 1 since a batch never exceeds the list."""
        n_listed = self.points.shape[1]
        return n_listed // self.batch_size if self.drop_last else math.ceil(n_listed / self.batch_size)

    @property
    def n_samples(self) -> int:
        """Samples used in gradient evaluations, for each member."""
        listed = self.steps_per_epoch * self.batch_size if self.drop_last else self.points.shape[1]
        return listed * self.descent.epochs
