"""Optimisers over the parameters of one member or of many stacked ones.

The step of a stacked member never reads another member. The template is the module of one member, so its
shapes have no member axis. It decides which parameters have weight decay.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.training.recipe.schedule import Descent

# Element-wise update rules: the step of one number never reads another, so stacked members stay independent.
ELEMENTWISE: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}
# Adafactor reads norms of whole tensors, so stacked members would influence each other. Muon here reads one
# member's matrix at a time.
STACKABLE = frozenset({*ELEMENTWISE, "muon"})
# The Newton-Schulz iteration of Muon: coefficients of x, x³ and x⁵, number of iterations, and least norm to
# divide by. Of the coefficients that bring singular values to between about .7 and 1.2, these are the
# steepest at 0.
COEFFICIENTS, N_ITERATIONS, SMALLEST_NORM = (3.4445, -4.7750, 2.0315), 5, 1e-7
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)


class Stepper:
    """The optimisers of one group of members, used like a single optimiser.

    parts holds (optimiser, share): each optimiser moves its own parameters, at its share of the learning
    rate.
    """

    def __init__(self, parts: "Sequence[tuple[torch.optim.Optimizer | Muon, float]]") -> None:
        self._parts = parts

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for optimizer, _ in self._parts:
            optimizer.zero_grad()

    def step(self, learning_rate: float) -> None:
        """Move all parameters along their gradients."""
        for optimizer, share in self._parts:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * share
            optimizer.step()


class Muon:
    """An optimiser that moves each matrix by its momentum with all singular values brought near 1.

    Convolution kernels count as matrices (out, in · height · width). n_leading is 1 if parameters have a
    member axis, else 0. As in torch.optim.Muon, the step is scaled by √max(1, rows / columns), and weight
    decay is decoupled. That class takes one matrix at a time and rounds it to bfloat16. Here the precision
    stays float32, so stacked and looped members differ only in the last bits of float32. Source: Jordan et
    al. 2024.
    """

    def __init__(
        self, groups: Sequence[dict[str, Any]], *, momentum: float, nesterov: bool, n_leading: int
    ) -> None:
        self.param_groups, self._momentum, self._nesterov, self._n_leading = (
            groups,
            momentum,
            nesterov,
            n_leading,
        )
        self._buffers: dict[Tensor, Tensor] = {}

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient, at the rate `lr` of its group."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group["lr"], group["weight_decay"])

    def _move(self, parameter: Tensor, gradient: Tensor, rate: float, weight_decay: float) -> None:
        if parameter not in self._buffers:
            self._buffers[parameter] = torch.zeros_like(gradient)
        buffer = self._buffers[parameter].lerp_(gradient, 1 - self._momentum)
        update = gradient.lerp(buffer, self._momentum) if self._nesterov else buffer
        matrices = update.flatten(self._n_leading + 1)
        rows, columns = matrices.shape[-2:]
        moved = orthogonalised(matrices.reshape(-1, rows, columns)).reshape(parameter.shape)
        parameter.mul_(1 - rate * weight_decay)
        parameter.add_(moved, alpha=-rate * math.sqrt(max(1.0, rows / columns)))


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return matrices (n, rows, columns) with singular values near 1.

    Each result depends on its own matrix alone and has that matrix's precision.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if is_tall else matrices
    found = found / found.flatten(1).norm(dim=1).clamp(min=SMALLEST_NORM)[:, None, None]
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(N_ITERATIONS):
        gram = found @ found.mT
        found = torch.baddbmm(
            found, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), found, beta=linear
        )
    return found.mT if is_tall else found


def build_stepper(
    descent: Descent, parameters: Mapping[str, Tensor], *, template: nn.Module, n_leading: int
) -> Stepper:
    """Return a stepper that moves parameters as the descent says.

    parameters maps names to tensors. n_leading is 1 if these tensors have a member axis, else 0.
    """
    spared = spared_of_decay(template) if descent.weight_decay_on == "weights" else frozenset()
    if descent.optimizer != "muon":
        return Stepper([(_build(descent, _grouped(parameters, spared, descent)), 1.0)])
    matrices = {name: value for name, value in parameters.items() if value.ndim - n_leading >= 2}
    rest = {name: value for name, value in parameters.items() if name not in matrices}
    parts: list[tuple[torch.optim.Optimizer | Muon, float]] = []
    if matrices:
        groups = _grouped(matrices, spared, descent)
        parts.append(
            (Muon(groups, momentum=descent.momentum, nesterov=descent.nesterov, n_leading=n_leading), 1.0)
        )
    if rest:
        parts.append((torch.optim.AdamW(_grouped(rest, spared, descent)), descent.adam_rate_share))
    return Stepper(parts)


def _build(descent: Descent, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"lr": descent.learning_rate}
    if descent.optimizer in ("sgd", "rmsprop"):
        options["momentum"] = descent.momentum
    if descent.nesterov:
        options["nesterov"] = True
    return (ELEMENTWISE | {"adafactor": torch.optim.Adafactor})[descent.optimizer](groups, **options)


def _grouped(
    parameters: Mapping[str, Tensor], spared: frozenset[str], descent: Descent
) -> list[dict[str, Any]]:
    """Return torch's parameter groups: parameters with weight decay, and the spared ones without.

    spared holds names. Empty groups are left out.
    """
    decaying = [value for name, value in parameters.items() if name not in spared]
    others = [value for name, value in parameters.items() if name in spared]
    groups = [
        {"params": decaying, "weight_decay": descent.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def spared_of_decay(template: nn.Module) -> frozenset[str]:
    """Return the names of a template's biases and of the parameters of its normalisation layers.

    Parameters with one axis count as biases, whatever their names.
    """
    normed = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in template.named_modules()
        if isinstance(module, NORMS)
        for name, _ in module.named_parameters(recurse=False)
    }
    return frozenset(normed | {name for name, value in template.named_parameters() if value.ndim < 2})


def clip_gradients(parameters: Iterable[Tensor], max_norm: float, *, n_leading: int) -> None:
    """Scale the gradients of each member so that their joint norm is at most max_norm.

    For a single model, torch's clip_grad_norm_ does this.
    """
    parameters = list(parameters)
    if n_leading == 0:
        nn.utils.clip_grad_norm_(parameters, max_norm)
        return
    gradients = [value.grad for value in parameters if value.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    scales = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scales.view(-1, *[1] * (gradient.ndim - 1)))
