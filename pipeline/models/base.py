"""The base of all models: a plug-in describes the network of one model, and training stacks many of them."""

from abc import abstractmethod

from torch import nn

from pipeline.core.registry import Plugin


class Model(Plugin):
    """A network's architecture; its fields are the settings that shape it."""

    @abstractmethod
    def build(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return a new module from inputs (n, *input_shape), float32, to logits (n, n_classes), float32.

        Random initial values come from torch's global generator, which the caller seeds. Raises ConfigError if input_shape does not fit.
        """
