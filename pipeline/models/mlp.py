"""A multi-layer perceptron, the smallest network for which unlearning is not convex."""

from itertools import pairwise
from math import prod
from typing import ClassVar

from torch import nn
from typing_extensions import override

from pipeline.core.settings.neutral import setting
from pipeline.models.base import Model


class Mlp(Model):
    """`depth` hidden layers of `width` rectified units on the flattened input.

    dropout: the share of hidden units that training leaves out.
    """

    name: ClassVar[str] = "mlp"

    width: int = setting(neutral=128, ge=1, le=10_000_000)
    depth: int = setting(neutral=1, ge=1, le=1000)
    dropout: float = setting(neutral=0.0, ge=0, lt=1)

    @override
    def build(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return the module; any input_shape fits.

        With dropout 0 the module has no dropout layers, so that members can be stacked.
        """
        layers: list[nn.Module] = [nn.Flatten()]
        for n_inputs, n_outputs in pairwise([prod(input_shape), *[self.width] * self.depth]):
            layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
            if self.dropout > 0:
                layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, nn.Linear(self.width, n_classes))
