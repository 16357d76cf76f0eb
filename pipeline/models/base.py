"""The base class of all models. A plug-in builds one network; training runs many of them at once."""

from abc import abstractmethod

from torch import Tensor, nn

from pipeline.core.registry import Plugin
from pipeline.core.settings.neutral import setting


class Model(Plugin):
    """A network architecture; its fields are the settings that shape it.

    flip_average: in evaluation, the logits are the mean over an image and its mirror image. Training does not
    change.
    """

    flip_average: bool = setting(neutral=False)

    @abstractmethod
    def build(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return a new module that maps inputs (n, *input_shape) to logits (n, n_classes), both float32.

        Random initial values come from torch's global generator, which the caller seeds. Raises ConfigError
        if input_shape does not fit.
        """


def average_flips(module: nn.Module) -> nn.Module:
    """Make a module average its outputs over each image and its mirror image, and return it.

    The module averages in evaluation only. Its attribute `averages_flips` switches this on and off.
    """
    object.__setattr__(module, "averages_flips", True)
    module.register_forward_hook(_average)
    return module


def _average(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Return the mean of a module's outputs for inputs and for mirrored inputs.

    Torch calls this hook after forward().
    """
    # Calling forward() directly does not run this hook again.
    return (
        (output + module.forward(given[0].flip(-1))) / 2
        if getattr(module, "averages_flips", False) and not module.training
        else output
    )
