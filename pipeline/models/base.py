"""The base of all models: a plug-in describes the network of one model, and training stacks many of them."""

from abc import abstractmethod

from torch import Tensor, nn

from pipeline.core.registry import Plugin
from pipeline.core.settings.neutral import setting


class Model(Plugin):
    """A network's architecture; its fields are the settings that shape it.

    flip_average: in evaluation, logits are the mean over an image and its mirror image. Training is not
    changed.
    """

    flip_average: bool = setting(neutral=False)

    @abstractmethod
    def build(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return a new module from inputs (n, *input_shape), float32, to logits (n, n_classes), float32.

        Random initial values come from torch's global generator, which the caller seeds. Raises ConfigError
        if input_shape does not fit.
        """


def average_flips(module: nn.Module) -> nn.Module:
    """Return the module itself.

    In evaluation it now averages its outputs over each image and its mirror image.

    Its attribute `averages_flips` switches that off and on.
    """
    object.__setattr__(module, "averages_flips", True)
    module.register_forward_hook(_average)
    return module


def _average(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Return the mean of a module's outputs for inputs and for mirrored inputs.

    Torch calls it after forward().
    """
    # A direct call of forward() does not come through here again.
    return (
        (output + module.forward(given[0].flip(-1))) / 2
        if getattr(module, "averages_flips", False) and not module.training
        else output
    )
