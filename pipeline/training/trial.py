"""Tries a model before any other compute: its build, its outputs, and one step of descent."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from pipeline.core.errors import ConfigError, PipelineError
from pipeline.core.plugin_calls import say, users_line
from pipeline.core.registry import plugin_name
from pipeline.training.ensemble import Builder, Kind, compute_logits, initial_states
from pipeline.training.feeds import Resident
from pipeline.training.loop import run_phases
from pipeline.training.recipe.objectives import cross_entropy
from pipeline.training.recipe.schedule import Descent, Phase


@contextmanager
def trying(build: Builder, problem: str) -> Iterator[None]:
    """Turn any error of a model during its trial into a ConfigError that names the model and the line."""
    try:
        yield
    except PipelineError:
        raise
    # The module's forward() is a user's code and may raise anything.
    except Exception as error:
        place = users_line(error, [type(build.model)])
        where = f", {place}" if place else ""
        raise ConfigError(
            f"model {plugin_name(build.model)} {problem} ({say(error)}{where}); fix its build()"
        ) from error


def check_parameters(build: Builder, template: nn.Module) -> None:
    """Raise ConfigError unless the template has parameters of known shape, some of which are trained."""
    name = plugin_name(build.model)
    values = [*template.named_parameters(), *template.named_buffers()]
    lazy = [key for key, value in values if isinstance(value, UninitializedParameter | UninitializedBuffer)]
    if lazy:
        remedy = "give the number of its inputs, which build() knows from input_shape"
        raise ConfigError(f"model {name}: {lazy[0]} has no shape yet (a Lazy layer); {remedy}")
    if any(value.is_meta for _, value in values):
        remedy = "return a new module from build() each time; members of a population must not share one"
        raise ConfigError(f"model {name}: build() returns a module that it made before; {remedy}")
    if not any(value.requires_grad for value in template.parameters()):
        found = "all its parameters are frozen" if list(template.parameters()) else "it has no parameters"
        remedy = "return a module with parameters of which some require gradients"
        raise ConfigError(f"model {name} has nothing to train: {found}; {remedy}")


def check_model_outputs(
    build: Builder, template: nn.Module, inputs: Float[np.ndarray, "n_points ..."]
) -> None:
    """Raise ConfigError unless an untrained model turns inputs into finite logits (n_points, n_classes).

    A single input is tried too.
    """
    name = plugin_name(build.model)
    for points in (inputs, inputs[:1]):
        with torch.inference_mode(), trying(build, f"cannot take inputs of shape {points.shape}"):
            logits = template.eval()(_tensor(points))
        expected = (len(points), build.n_classes)
        if (
            not isinstance(logits, Tensor)
            or tuple(logits.shape) != expected
            or not logits.is_floating_point()
        ):
            found = (
                f"{logits.dtype} {tuple(logits.shape)}"
                if isinstance(logits, Tensor)
                else type(logits).__name__
            )
            raise ConfigError(
                f"model {name} returns {found}; expected floating-point logits of shape {expected}"
            )
        if not torch.isfinite(logits).all():
            remedy = "start its parameters with finite values, and scale the inputs"
            raise ConfigError(f"model {name} returns NaN or infinity before it is trained; {remedy}")


def check_step(
    build: Builder, descent: Descent, inputs: Float[np.ndarray, "n_points ..."], kinds: Sequence[Kind]
) -> None:
    """Raise ConfigError unless new models can take one step on inputs, for each of kinds (stacked, looped).

    torch's random numbers are left unchanged.
    """
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    data, points = Resident(_tensor(inputs), labels), np.arange(len(inputs))[None].repeat(2, axis=0)
    phase = Phase(
        points=points,
        objective=cross_entropy,
        descent=descent.model_copy(update={"epochs": 1}),
        drop_last=True,
    )
    with torch.random.fork_rng(devices=[]):
        with trying(build, "cannot be built twice alike"):
            states, template = initial_states(build, [0, 1]), build()
        for kind in kinds:
            with trying(build, f"cannot be trained ({kind})"):
                trained = run_phases(template, states, [phase], data, seeds=[0, 1], kind=kind)
                compute_logits(template, trained, data, kind=kind)


def _tensor(inputs: Float[np.ndarray, "n_points ..."]) -> Tensor:
    return torch.from_numpy(np.array(inputs, np.float32))
