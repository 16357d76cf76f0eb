"""Random flips and crops of training images, drawn for each member, phase, epoch and point.

A draw does not depend on the batch. So members of one seed see the points they share alike, whatever their
masks. Evaluation uses no random changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from pipeline.core.errors import ConfigError, placed
from pipeline.core.seeds import generator


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of images: flip mirrors half of them, and crop_padding cuts each at a random place.

    The cut keeps the image's size and is taken from the image with crop_padding zeros on each side. One whole
    number for each point encodes the draw: the two offsets of the cut, and whether the image is mirrored.
    """

    flip: bool = False
    crop_padding: int = 0

    @property
    def n_choices(self) -> int:
        """Number of possible draws; 1 if nothing is augmented."""
        return (2 if self.flip else 1) * (2 * self.crop_padding + 1) ** 2

    def check(self, input_shape: tuple[int, ...], *, flip: str = "flip") -> None:
        """Raise ConfigError unless inputs of this shape can be augmented.

        flip is the name of the setting that requests flips.
        """
        asked = "crop_padding" if self.crop_padding else flip
        remedy = "remove the setting, or use a data set of images"
        if self.n_choices > 1 and len(input_shape) != 3:
            with placed(asked):
                raise ConfigError(
                    f"it is for images (channels, height, width), but inputs have shape {input_shape}; "
                    f"{remedy}"
                )
        if self.crop_padding and self.crop_padding >= min(input_shape[1:]):
            _, height, width = input_shape
            with placed(asked):
                raise ConfigError(
                    f"crops with a padding of {self.crop_padding} may miss an image of {height} "
                    f"by {width} "
                    f"pixels; expected at most {min(height, width) - 1}"
                )

    def draw(
        self, seeds: Sequence[tuple[int, int]], epoch: int, n_points: int
    ) -> Int[np.ndarray, "n_members n_points"]:
        """Return a draw from 0 to n_choices - 1 for each member and point, for one epoch.

        seeds holds (the member's seed, the number of the phase) for each member. A member's draws depend only
        on these two numbers and on epoch.
        """
        return np.stack(
            [
                generator("augmentation", *seed, epoch).integers(0, self.n_choices, n_points, np.int32)
                for seed in seeds
            ]
        )

    def apply(self, inputs: Tensor, drawn: Tensor) -> Tensor:
        """Return inputs (n_members, batch, channels, height, width), cut and mirrored as drawn.

        drawn (n_members, batch) holds the draws of these points. Pixels are only moved, so the result is the
        same for any grouping of members.
        """
        channels, height, width = inputs.shape[2:]
        pad, n_offsets = self.crop_padding, 2 * self.crop_padding + 1
        draws = drawn.reshape(-1).long()
        offsets, mirrored = draws % n_offsets**2, (draws // n_offsets**2).bool()
        columns = torch.arange(width, device=inputs.device)
        columns = torch.where(mirrored[:, None], columns.flip(0), columns) + (offsets % n_offsets)[:, None]
        rows = torch.arange(height, device=inputs.device) + (offsets // n_offsets)[:, None]
        places = (rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]).flatten(1)
        padded = F.pad(inputs.flatten(0, 1), (pad, pad, pad, pad)).flatten(2)
        moved = padded.gather(2, places[:, None].expand(-1, channels, -1))
        return moved.view(inputs.shape)


NOTHING = Augmentation()


class Draws:
    """The augmentation of each point in one epoch, drawn for all points of the data set at once."""

    def __init__(
        self, augmentation: Augmentation, seeds: Sequence[tuple[int, int]], epoch: int, labels: Tensor
    ) -> None:
        self._augmentation, self._drawn = augmentation, None
        if augmentation.n_choices > 1:
            self._drawn = torch.from_numpy(augmentation.draw(seeds, epoch, len(labels))).to(labels.device)

    def applied(self, inputs: Tensor, batch: Tensor) -> Tensor:
        """Return inputs (n_members, batch, ...) augmented; batch (n_members, batch) holds their point ids."""
        return (
            inputs if self._drawn is None else self._augmentation.apply(inputs, self._drawn.gather(1, batch))
        )
