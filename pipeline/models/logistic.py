"""Softmax regression: convex, so with weight decay its minimum is unique and needs no random start."""

from math import prod
from typing import ClassVar

from torch import nn

from pipeline.core.settings.neutral import setting
from pipeline.models.base import Model


class Logistic(Model):
    """One linear layer on the flattened input.

    Zero_init starts it at zero, otherwise torch's random start is kept.
    """

    name: ClassVar[str] = "logistic"

    zero_init: bool = setting(neutral=True)

    def build(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return the module; any input_shape fits."""
        linear = nn.Linear(prod(input_shape), n_classes)
        if self.zero_init:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        return nn.Sequential(nn.Flatten(), linear)
