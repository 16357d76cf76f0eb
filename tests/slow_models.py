"""Models and tasks that sleep, so that their seconds are known; Ray workers can import them."""

import time

from torch import nn

from pipeline.core.settings.neutral import setting
from pipeline.core.task_progress import report
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


def work_in_parts(task, shared, device):
    """Report a share of the task every .1 s for as many seconds as it is given."""
    begun, seconds = time.monotonic(), float(task)
    while time.monotonic() - begun < seconds:
        report((time.monotonic() - begun) / seconds)
        time.sleep(0.1)
    return task
