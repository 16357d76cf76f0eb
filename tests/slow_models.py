"""A model that sleeps in every training step, so that the seconds of a member are known; Ray workers import it too."""

import time

from torch import nn

from pipeline.core.neutral import setting
from pipeline.models.base import Model


class Slow(nn.Module):
    """A linear layer that sleeps in each training step, and hands its inputs on as they are in none."""

    def __init__(self, n_inputs: int, n_classes: int, seconds: float) -> None:
        super().__init__()
        self.layer, self.seconds = nn.Linear(n_inputs, n_classes), seconds

    def forward(self, inputs):
        if self.training:
            time.sleep(self.seconds)
        return self.layer(inputs)


class SlowModel(Model):
    """Takes `seconds` a training step."""

    seconds: float = setting(neutral=0.01)

    def build(self, input_shape, n_classes):
        return Slow(input_shape[0], n_classes, self.seconds)
