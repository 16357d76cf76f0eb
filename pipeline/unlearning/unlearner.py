"""The request to unlearn and the plug-in that answers it; most unlearners are a schedule of phases for the one training loop."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from pipeline.core.arrays import Effects, Indices, Logits
from pipeline.core.errors import ConfigError, ShapeError
from pipeline.core.fitting import describe_value, fits
from pipeline.core.registry import Plugin
from pipeline.data.examples import Examples
from pipeline.training.ensemble import Kind, States, compute_logits, n_members
from pipeline.training.feeds import Feed
from pipeline.training.loop import run_phases
from pipeline.training.schedule import Descent, Phase


@dataclass(frozen=True, kw_only=True)
class Request:
    """Models that must forget, and what may be known for it.

    states: the n_members trained models; logits (n_members, n_points, n_classes) theirs on all points; forget and retain: training ids;
    seeds (n_members,). effect (n_points, n_classes): predicted change of the logits; oracle_logits (n_members, n_points, n_classes): one
    true oracle for each member. The last two are there only for unlearners that need them.
    """

    template: nn.Module
    states: States
    logits: Logits
    data: Feed
    forget: Indices
    retain: Indices
    seeds: Sequence[int]
    kind: Kind
    effect: Effects | None = None
    oracle_logits: Logits | None = None

    def __post_init__(self) -> None:
        if len(self.forget) == 0:
            raise ConfigError("the forget set is empty; name at least one training point to forget")
        if len(self.seeds) != n_members(self.states) or len(self.logits) != len(self.seeds):
            raise ShapeError(f"{n_members(self.states)} models, {len(self.logits)} rows of logits, {len(self.seeds)} seeds; give one of each a model")


@dataclass(frozen=True, kw_only=True)
class Unlearned:
    """The answer: states and logits after unlearning, and the samples used in gradient evaluations by each member."""

    states: States
    logits: Logits
    n_samples: int


class Unlearner(Plugin):
    """Makes models forget; `needs` may name `effect` (a datamodel's prediction) or `oracle` (true oracles), `moves_weights` says if it trains."""

    needs: ClassVar[frozenset[str]] = frozenset()
    moves_weights: ClassVar[bool] = True

    def check(self, examples: Examples) -> None:
        """Raise ConfigError or DataError for settings that do not fit the data, before anything is computed."""

    @abstractmethod
    def unlearn(self, request: Request) -> Unlearned:
        """Return the models after unlearning; the request is left as it is."""

    def _check_unlearn(self, found: Unlearned, request: Request) -> None:
        check_logits(found.logits, request, "logits")
        wanted = {name: tuple(value.shape) for name, value in request.states.items()}
        if not fits(found.states, dict[str, Tensor]) or {name: tuple(value.shape) for name, value in found.states.items()} != wanted:
            raise ShapeError("`states` are not those of the request, changed; expected a tensor of the same shape under each of its names")
        if not fits(found.n_samples, int) or found.n_samples < 0:
            raise ShapeError(f"`n_samples` is {describe_value(found.n_samples)}; expected an integer, 0 or more")


class ScheduledUnlearner(Unlearner):
    """An unlearner that is a list of phases; subclasses say which."""

    @abstractmethod
    def phases(self, request: Request) -> list[Phase]:
        """Return the phases to descend, in order."""

    def _check_phases(self, found: list[Phase], request: Request) -> None:
        if not found:
            raise ShapeError("it lists no phases; expected at least one")
        for phase in found:
            check_phase(phase, request)

    def unlearn(self, request: Request) -> Unlearned:
        """Return the models after descending all phases."""
        phases = self.phases(request)
        states = run_phases(request.template, request.states, phases, request.data, seeds=request.seeds, kind=request.kind)
        logits = compute_logits(request.template, states, request.data, kind=request.kind)
        return Unlearned(states=states, logits=logits, n_samples=sum(phase.n_samples for phase in phases))


def check_logits(logits: Logits, request: Request, name: str) -> None:
    """Raise ShapeError unless logits are numbers of the shape of the request's."""
    if not fits(logits, np.ndarray) or logits.dtype.kind != "f" or logits.shape != request.logits.shape:
        raise ShapeError(f"`{name}` is {describe_value(logits)}; expected floats of shape {request.logits.shape}")


def check_phase(phase: Phase, request: Request) -> None:
    """Raise ShapeError unless a phase lists points of the data, one list for each model, and targets for all points."""
    points, targets, n_points = phase.points, phase.targets, len(request.data.labels)
    if points.dtype.kind not in "iu" or points.ndim != 2 or len(points) != len(request.seeds):
        raise ShapeError(f"`points` is {describe_value(points)}; expected integer ids of shape ({len(request.seeds)}, n_listed)")
    if points.min() < 0 or points.max() >= n_points:
        raise ShapeError(f"`points` spans {points.min()} to {points.max()}; expected ids from 0 to {n_points - 1}")
    shared = (n_points, request.logits.shape[2])
    expected = [shared, (len(points), *shared)]
    if targets is not None and (targets.shape not in expected or targets.dtype.kind != "f"):
        raise ShapeError(
            f"`targets` is {describe_value(targets)}; they are looked up by point id: expected floats of shape {expected[0]} for all models, or {expected[1]}"
        )
    if not isinstance(phase.descent, Descent) or not callable(phase.objective):
        raise ShapeError("`descent` and `objective` are to be a Descent and a function of logits, labels and targets")


def same_for_all(indices: Indices, n_models: int) -> np.ndarray:
    """Return indices repeated for each member, (n_models, n_indices)."""
    return np.broadcast_to(indices, (n_models, len(indices)))
