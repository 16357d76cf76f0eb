"""Derivatives of the outputs of trained models by their parameters, for attribution; NumPy in and out."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from pipeline.core.arrays import Indices, Labels
from pipeline.core.errors import ConfigError
from pipeline.data.examples import Examples
from pipeline.training.ensemble import Builder, States, n_members
from pipeline.training.projection import Projection
from pipeline.training.recipe.objectives import LabelObjective, cross_entropy
from pipeline.training.sizing import evaluation_batch

# Number of float32 values in memory at once, besides those that are returned: 64 MB.
NUMBERS = 2**24

# A cotangent (n_classes,) states the output of a point that is differentiated: the sum of the cotangent's
# entries times the point's logits. A unit vector gives the gradient of one logit. `margin_cotangents` give
# the gradient of the margin, and the softmax minus the one-hot label gives that of the cross-entropy.
Cotangents = Float[np.ndarray, "n_listed n_classes"]
# A parameter vector holds a model's parameters side by side, in the order of the module.
Vectors = Float[np.ndarray, "n_vectors n_parameters"]


class Checkpoints:
    """Trained models whose outputs on examples can be differentiated by their parameters.

    load reads the models; it is called on first use. counted names the parameters by which outputs are
    differentiated, by default all. objective is the loss that the models were trained on.
    """

    def __init__(
        self,
        build: Builder,
        load: Callable[[], States],
        examples: Examples,
        device: str = "cpu",
        *,
        counted: Sequence[str] | None = None,
        objective: LabelObjective = cross_entropy,
    ) -> None:
        self._build, self._load, self._examples, self._device, self._counted = (
            build,
            load,
            examples,
            device,
            counted,
        )
        self.objective = objective

    def last_layer(self) -> "Checkpoints":
        """Return the same models, with derivatives only by the parameters of the linear layer that runs last.

        Raises ConfigError if no linear layer runs.
        """
        ran: list[nn.Module] = []
        linear = [module for module in self._template.modules() if isinstance(module, nn.Linear)]
        handles = [module.register_forward_hook(lambda module, *_: ran.append(module)) for module in linear]
        with torch.inference_mode():
            self._template(self._inputs(np.arange(1)))
        for handle in handles:
            handle.remove()
        if not ran:
            raise ConfigError(
                f"model {type(self._build.model).__qualname__} has no linear layer; set `layers` to 'all'"
            )
        last = {id(value) for value in ran[-1].parameters()}
        counted = [name for name, value in self._template.named_parameters() if id(value) in last]
        return Checkpoints(
            self._build,
            lambda: self._states,
            self._examples,
            self._device,
            counted=counted,
            objective=self.objective,
        )

    @property
    def labels(self) -> Labels:
        """Labels of all points."""
        return self._examples.labels

    @property
    def n_train(self) -> int:
        """Number of training points; their ids are 0 to n_train - 1."""
        return self._examples.n_train

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._examples.n_classes

    @cached_property
    def n_models(self) -> int:
        """Number of trained models."""
        return n_members(self._states)

    @cached_property
    def n_parameters(self) -> int:
        """Length of a parameter vector."""
        return sum(value.numel() for _, value in self._named)

    def logits(self, model: int, points: Indices) -> Cotangents:
        """Return a model's logits on points, in evaluation mode."""
        parameters, outputs = self._function(model)
        with torch.inference_mode():
            return np.concatenate(
                [
                    outputs(parameters, inputs).cpu().numpy()
                    for inputs in self._batches(points, evaluation_batch())
                ]
            )

    def gradients(
        self, model: int, points: Indices, cotangents: Cotangents, projection: Projection | None = None
    ) -> Float[np.ndarray, "n_listed n_coordinates"]:
        """Return the gradient of each listed point's output, float32, projected if a projection is given.

        A point may be listed more than once.
        """
        parameters, outputs = self._function(model)

        def single(x: Tensor, cotangent: Tensor) -> Tensor:
            return self._flat(vjp(lambda values: outputs(values, x[None])[0], parameters)[1](cotangent)[0])

        size = max(1, NUMBERS // self.n_parameters)
        chunks = zip(self._batches(points, size), self._tensor(cotangents).split(size), strict=True)
        found = (vmap(single)(x, cotangent).cpu().numpy() for x, cotangent in chunks)
        return np.concatenate([part if projection is None else projection.apply(part) for part in found])

    def pull(
        self, model: int, points: Indices, cotangents: Float[np.ndarray, "n_vectors n_listed n_classes"]
    ) -> Vectors:
        """Return one gradient for each set of cotangents: that of the sum of the points' outputs.

        It equals the sum over points of the result of `gradients`.
        """
        parameters, outputs = self._function(model)
        total = np.zeros((len(cotangents), self.n_parameters), np.float32)
        for inputs, part in zip(
            self._batches(points, evaluation_batch()),
            self._tensor(cotangents).split(evaluation_batch(), dim=1),
            strict=True,
        ):
            backward = vjp(lambda values, x=inputs: outputs(values, x), parameters)[1]
            total += (
                vmap(
                    lambda cotangent, back=backward: self._flat(back(cotangent)[0]),
                    chunk_size=self._at_once(inputs),
                )(part)
                .cpu()
                .numpy()
            )
        return total

    def push(
        self, model: int, vectors: Vectors, points: Indices
    ) -> Float[np.ndarray, "n_vectors n_listed n_classes"]:
        """Return the first-order change of the points' logits when the parameters change by each vector."""
        parameters, outputs = self._function(model)
        parts = []
        for inputs in self._batches(points, evaluation_batch()):

            def single(vector: Tensor, x: Tensor = inputs) -> Tensor:
                return jvp(lambda values: outputs(values, x), (parameters,), (self._unflat(vector),))[1]

            parts.append(vmap(single, chunk_size=self._at_once(inputs))(self._tensor(vectors)).cpu().numpy())
        return np.concatenate(parts, axis=1)

    @cached_property
    def _states(self) -> States:
        return {name: value.to(self._device) for name, value in self._load().items()}

    @cached_property
    def _template(self) -> nn.Module:
        return self._build().to(self._device).eval()

    def _function(self, model: int) -> tuple[States, Callable[[States, Tensor], Tensor]]:
        """Return a model's parameters, and its logits as a function of parameters and inputs."""
        state = {name: value[model] for name, value in self._states.items()}
        names = [name for name, _ in self._named]
        fixed = {name: value for name, value in state.items() if name not in names}
        return {name: state[name] for name in names}, lambda values, x: functional_call(
            self._template, (values, fixed), (x,)
        ).float()

    @cached_property
    def _named(self) -> list[tuple[str, Tensor]]:
        """The names and values of the template's parameters by which outputs are differentiated."""
        return [
            (name, value)
            for name, value in self._template.named_parameters()
            if self._counted is None or name in self._counted
        ]

    def _batches(self, points: Indices, size: int) -> Iterator[Tensor]:
        """Yield the inputs of points, `size` of them at a time."""
        for start in range(0, len(points), size):
            yield self._inputs(points[start : start + size])

    def _inputs(self, points: Indices) -> Tensor:
        return self._tensor(self._examples.inputs_of(points))

    def _tensor(self, values: Float[np.ndarray, "..."]) -> Tensor:
        return torch.from_numpy(np.array(values, np.float32)).to(self._device)

    def _at_once(self, inputs: Tensor) -> int:
        """Return the number of vectors that are applied to a batch of inputs at once."""
        return max(1, NUMBERS // max(self.n_parameters, inputs.numel() * 4))

    def _flat(self, values: States) -> Tensor:
        return torch.cat([value.reshape(-1) for value in values.values()])

    def _unflat(self, vector: Tensor) -> States:
        parts = vector.split([value.numel() for _, value in self._named])
        return {name: part.view(value.shape) for (name, value), part in zip(self._named, parts, strict=True)}


def margin_cotangents(logits: Cotangents, labels: Labels) -> Cotangents:
    """Return the gradient of each margin by its point's logits.

    It is 1 for the label's logit, and minus the softmax over the other classes for the other logits.
    """
    rows = np.arange(len(labels))
    others = logits.astype(np.float64)
    others[rows, labels] = -np.inf
    odds = np.exp(others - others.max(axis=1, keepdims=True))
    found = -odds / odds.sum(axis=1, keepdims=True)
    found[rows, labels] = 1.0
    return found.astype(np.float32)
