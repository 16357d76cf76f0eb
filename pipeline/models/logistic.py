"""Softmax regression. It is convex, so with weight decay its minimum is unique and needs no random start."""

from math import prod
from typing import ClassVar

from torch import nn
from typing_extensions import override

from pipeline.core.settings.neutral import setting
from pipeline.models.base import Model


class Logistic(Model):
    """One linear layer on the flattened input.

    zero_init: the layer starts at zero; otherwise it keeps torch's random start.
    """

    name: ClassVar[str] = "logistic"

    zero_init: bool = setting(neutral=True)

    @override
    def build(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return the module; any input_shape fits."""
        linear = nn.Linear(prod(input_shape), n_classes)
        if self.zero_init:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        return nn.Sequential(nn.Flatten(), linear)
