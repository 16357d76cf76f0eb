"""A small convolutional network.

With batch_norm the module has buffers that training changes. Each member has its own, as with parameters.
"""

from typing import ClassVar

from torch import nn
from typing_extensions import override

from pipeline.core.errors import ConfigError
from pipeline.core.settings.neutral import setting
from pipeline.models.base import Model

# Numbers of channels of an image: grey, colour, colour with opacity.
CHANNELS = (1, 3, 4)
# Height and width of an image differ by less than this factor. In a feature map (channels, height, width),
# the first two axes may differ by more.
MOST_OBLONG = 4


class Cnn(Model):
    """Two 3 x 3 convolutions with a max-pool between them, the mean over all pixels, and one linear layer.

    The convolutions have width and 2 * width channels.
    """

    name: ClassVar[str] = "cnn"

    width: int = setting(neutral=16, ge=1, le=1_000_000)
    batch_norm: bool = setting(neutral=True)

    @override
    def build(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return the module.

        Raises ConfigError unless input_shape is (channels, height, width) with at least 2 x 2 pixels.
        """
        if _looks_channels_last(input_shape):
            raise ConfigError(
                f"model 'cnn': inputs of shape {input_shape} look like (height, width, channels); expected "
                "(channels, height, width): "
                "save them as images.transpose(0, 3, 1, 2)"
            )
        if len(input_shape) != 3 or min(input_shape[1:]) < 2:
            raise ConfigError(
                f"model 'cnn': inputs have shape {input_shape}; expected (channels, height > 1, width > 1): "
                "use 'mlp', or reshape them"
            )
        return nn.Sequential(
            *self._convolution(input_shape[0], self.width),
            nn.MaxPool2d(2),
            *self._convolution(self.width, 2 * self.width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * self.width, n_classes),
        )

    def _convolution(self, n_inputs: int, n_outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(n_inputs, n_outputs, kernel_size=3, padding=1, bias=not self.batch_norm)
        return [convolution, *([nn.BatchNorm2d(n_outputs)] if self.batch_norm else []), nn.ReLU()]


def _looks_channels_last(shape: tuple[int, ...]) -> bool:
    """Return whether the last axis of an image's shape looks like its channels, and the first does not."""
    if len(shape) != 3 or shape[0] in CHANNELS or shape[2] not in CHANNELS or shape[1] <= shape[2]:
        return False
    # A last axis of one or four may also be a few steps in time or frequency. It counts as channels only if
    # the image is square.
    if shape[2] != 3 and shape[0] != shape[1]:
        return False
    return max(shape[:2]) < MOST_OBLONG * min(shape[:2])
