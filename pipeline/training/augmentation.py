"""Random flips and crops of training images, drawn for a point in an epoch, whatever batch or step it falls into.

Members of one seed see the points they share alike, whatever their masks. Nothing is ever drawn in evaluation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from pipeline.core.errors import ConfigError
from pipeline.core.seeds import generator


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Mirrors half of the images (flip), and cuts each at a random place from itself with crop_padding zeros around it.

    A draw is one number for each point: the pair of offsets, and whether the image is mirrored.
    """

    flip: bool = False
    crop_padding: int = 0

    @property
    def n_choices(self) -> int:
        """Outcomes that a draw chooses from; 1 where nothing is augmented."""
        return (2 if self.flip else 1) * (2 * self.crop_padding + 1) ** 2

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise ConfigError unless inputs of this shape can be augmented."""
        if self.n_choices > 1 and len(input_shape) != 3:
            asked = "flip" if self.flip else "crop_padding"
            raise ConfigError(
                f"{asked} is for images (channels, height, width), but inputs have shape {input_shape}; "
                "set flip to false and crop_padding to 0, or use a data set of images"
            )

    def draw(self, seeds: Sequence[tuple[int, int]], epoch: int, n_points: int) -> Int[np.ndarray, "n_members n_points"]:
        """Return each member's draw for each point of an epoch, from (its seed, the number of the phase, epoch)."""
        return np.stack([generator("augmentation", *seed, epoch).integers(0, self.n_choices, n_points, np.int32) for seed in seeds])

    def apply(self, inputs: Tensor, drawn: Tensor) -> Tensor:
        """Return inputs (n_members, batch, channels, height, width) changed as drawn (n_members, batch) says.

        Pixels are moved, never computed with, so the result is the same for any grouping of members.
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
