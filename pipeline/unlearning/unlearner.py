"""The request to unlearn, and the base classes of the plug-ins that answer it.

Most unlearners are a list of phases for the training loop.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import model_validator
from torch import Tensor, nn
from typing_extensions import override

from pipeline.core.arrays import Effects, Indices, Logits
from pipeline.core.errors import ConfigError, ShapeError
from pipeline.core.registry import Plugin
from pipeline.core.roles import StartRole
from pipeline.core.settings.neutral import setting
from pipeline.core.settings.type_hints import describe_value, fits
from pipeline.data.examples import Examples
from pipeline.training.ensemble import Kind, States, compute_logits, n_members, take
from pipeline.training.feeds import Feed
from pipeline.training.loop import run_phases
from pipeline.training.recipe.schedule import Descent, Phase
from pipeline.training.snapshots import Recorder, Snapshot, Snapshots, take_snapshot


@dataclass(frozen=True, kw_only=True)
class Request:
    """Models that must forget, and the information that an unlearner may use.

    states: the n_members trained models. logits (n_members, n_points, n_classes): their logits on all points.
    forget, retain: ids of training points. seeds (n_members,): one for each model. effect (n_points,
    n_classes): the predicted change of the logits. oracle_logits (n_members, n_points, n_classes): the logits
    of one true oracle for each member. effect and oracle_logits are given only to unlearners that need them.
    n_saved: the number of models, counted from the first, whose states are saved. Raises ConfigError on an
    empty forget set, ShapeError if states, logits and seeds differ in length.
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
    n_saved: int = 0

    def __post_init__(self) -> None:
        if len(self.forget) == 0:
            raise ConfigError("the forget set is empty; name at least one training point to forget")
        if len(self.seeds) != n_members(self.states) or len(self.logits) != len(self.seeds):
            raise ShapeError(
                f"{n_members(self.states)} models, {len(self.logits)} rows of logits, {len(self.seeds)} "
                "seeds; give one of each for each model"
            )

    def compute_logits(self, states: States) -> Logits:
        """Return the logits (n_members, n_points, n_classes) of states on all points, in evaluation mode."""
        return compute_logits(self.template, states, self.data, kind=self.kind)

    def take_snapshot(self, states: States, *, after: int, n_samples: int) -> Snapshot:
        """Return a snapshot of the models at states, without changing anything.

        after: epochs or steps taken so far. n_samples: samples that each model has used so far in gradient
        evaluations.
        """
        evaluate, n_kept = self.compute_logits, self.n_saved
        return take_snapshot(states, evaluate, after=after, n_samples=n_samples, n_kept=n_kept)


@dataclass(frozen=True, kw_only=True)
class Unlearned:
    """The answer to a request: states and logits after unlearning, and the cost.

    n_samples: samples that each member used for gradients. snapshots: the models along the way, in order, if
    they were asked for. The last of them is the answer itself.
    """

    states: States
    logits: Logits
    n_samples: int
    snapshots: Sequence[Snapshot] = ()


class Unlearner(Plugin):
    """Base class of unlearners, which make models forget.

    needs: may contain `effect` (a datamodel's prediction) and `oracle` (true oracles). moves_weights: whether
    the unlearner trains. start: the role of the models that must forget. An unlearner that descends phases
    has the setting `snapshots`. Any other unlearner may declare it as `snapshots: Snapshots | None =
    setting(neutral=None)`; it then returns snapshots with its answer, see Request.take_snapshot.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    moves_weights: ClassVar[bool] = True

    start: StartRole = setting(neutral="full")

    @model_validator(mode="before")
    @classmethod
    def _refuse_snapshots(cls, given: Any) -> Any:
        if isinstance(given, dict) and "snapshots" in given and "snapshots" not in cls.model_fields:
            remedy = "remove `snapshots`, or use an unlearner that descends"
            raise ValueError(f"it has no snapshots, because it has no phases; {remedy}")
        return given

    @property
    def snapshots_wanted(self) -> Snapshots | None:
        """The setting that says when to take snapshots; None if none are wanted."""
        wanted = getattr(self, "snapshots", None)
        return wanted if isinstance(wanted, Snapshots) else None

    def check(self, examples: Examples) -> None:
        """Raise ConfigError or DataError if the settings do not fit the data, before anything is computed."""

    @abstractmethod
    def unlearn(self, request: Request) -> Unlearned:
        """Return the models after unlearning; leave the request as it is."""

    def _check_unlearn(self, found: Unlearned, request: Request) -> None:
        check_wanted_logits(found.logits, request, "logits")
        wanted = {name: tuple(value.shape) for name, value in request.states.items()}
        if (
            not fits(found.states, dict[str, Tensor])
            or {name: tuple(value.shape) for name, value in found.states.items()} != wanted
        ):
            raise ShapeError(
                "`states` do not match those of the request; expected a tensor of the same shape under "
                "each of its names"
            )
        if not fits(found.n_samples, int) or found.n_samples < 0:
            raise ShapeError(
                f"`n_samples` is {describe_value(found.n_samples)}; expected an integer, 0 or more"
            )
        if (self.snapshots_wanted is not None) != (len(found.snapshots) > 0):
            is_wanted = self.snapshots_wanted is not None
            expected = "snapshots, the last of them the answer"
            expected = expected if is_wanted else "none, as none were asked for"
            raise ShapeError(f"`snapshots` holds {len(found.snapshots)}; expected {expected}")
        check_snapshots(found, request)


class ScheduledUnlearner(Unlearner):
    """An unlearner that is a list of phases; subclasses return the phases."""

    snapshots: Snapshots | None = setting(neutral=None)

    @abstractmethod
    def phases(self, request: Request) -> list[Phase]:
        """Return the phases to descend, in order."""

    def _check_phases(self, found: list[Phase], request: Request) -> None:
        if not found:
            raise ShapeError("it lists no phases; expected at least one")
        for phase in found:
            check_phase(phase, request)

    @override
    def unlearn(self, request: Request) -> Unlearned:
        """Return the models after descending all phases."""
        phases = self.phases(request)
        n_samples = sum(phase.n_samples for phase in phases)
        recorder = None
        if self.snapshots is not None:
            evaluate = request.compute_logits
            recorder = Recorder(self.snapshots, evaluate, n_samples=n_samples, n_kept=request.n_saved)
        states = run_phases(
            request.template,
            request.states,
            phases,
            request.data,
            seeds=request.seeds,
            kind=request.kind,
            recorder=recorder,
        )
        logits = request.compute_logits(states)
        snapshots: list[Snapshot] = []
        if recorder is not None:
            kept = take(states, 0, request.n_saved)
            last = Snapshot(after=recorder.count, n_samples=n_samples, logits=logits, states=kept)
            snapshots = [*recorder.snapshots(), last]
        return Unlearned(states=states, logits=logits, n_samples=n_samples, snapshots=snapshots)


def check_wanted_logits(logits: Logits, request: Request, name: str) -> None:
    """Raise ShapeError unless logits are floats of the same shape as the request's logits."""
    if not fits(logits, np.ndarray) or logits.dtype.kind != "f" or logits.shape != request.logits.shape:
        raise ShapeError(
            f"`{name}` is {describe_value(logits)}; expected floats of shape {request.logits.shape}"
        )


def check_snapshots(found: Unlearned, request: Request) -> None:
    """Raise ShapeError unless the snapshots are in order, fit the request and end with the answer."""
    before = (-1, -1)
    for snapshot in found.snapshots:
        if not isinstance(snapshot, Snapshot):
            found_one = describe_value(snapshot)
            raise ShapeError(f"`snapshots` holds {found_one}; expected what `request.take_snapshot` returns")
        check_wanted_logits(snapshot.logits, request, "logits of a snapshot")
        place = (snapshot.after, snapshot.n_samples)
        if not (fits(place, tuple[int, int]) and place[0] > before[0] and place[1] >= before[1]):
            said = f"`after` and `n_samples` of the snapshots are {before}, then {place}"
            raise ShapeError(f"{said}; expected rising integers")
        if n_members(snapshot.states) < min(request.n_saved, len(request.seeds)):
            n_kept = n_members(snapshot.states)
            raise ShapeError(f"a snapshot has the states of {n_kept} models; expected {request.n_saved}")
        before = place
    if found.snapshots:
        last = found.snapshots[-1]
        if last.n_samples != found.n_samples or not np.array_equal(last.logits, found.logits, equal_nan=True):
            remedy = "give the answer's own logits and `n_samples`"
            raise ShapeError(f"the last snapshot differs from the answer; {remedy}")


def check_phase(phase: Phase, request: Request) -> None:
    """Raise ShapeError unless a phase fits the request.

    It must list ids of points of the data, one list for each model. Targets, if there are any, must cover all
    points.
    """
    points, targets, n_points = phase.points, phase.targets, len(request.data.labels)
    if points.dtype.kind not in "iu" or points.ndim != 2 or len(points) != len(request.seeds):
        raise ShapeError(
            f"`points` is {describe_value(points)}; expected integer ids of shape ({len(request.seeds)}, "
            "n_listed)"
        )
    if points.min() < 0 or points.max() >= n_points:
        raise ShapeError(
            f"`points` spans {points.min()} to {points.max()}; expected ids from 0 to {n_points - 1}"
        )
    shared = (n_points, request.logits.shape[2])
    expected = [shared, (len(points), *shared)]
    if targets is not None and (targets.shape not in expected or targets.dtype.kind != "f"):
        raise ShapeError(
            f"`targets` is {describe_value(targets)}; they are looked up by point id: expected floats of "
            f"shape {expected[0]} for all models, or {expected[1]}"
        )
    if not isinstance(phase.descent, Descent) or not callable(phase.objective):
        raise ShapeError(
            "`descent` and `objective` must be a Descent and a function of logits, labels and targets"
        )


def same_for_all(indices: Indices, n_models: int) -> np.ndarray:
    """Return indices repeated for each model, (n_models, n_indices)."""
    return np.broadcast_to(indices, (n_models, len(indices)))
