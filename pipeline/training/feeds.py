"""Feeds: where the batches of a data set come from, as tensors on the device that trains.

`Resident` holds the whole data set on the device: a batch is then an index, not a copy from the host.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.data.examples import Examples


class Feed(ABC):
    """A data set as the loop sees it: float32 inputs and int64 labels of any points, on the device of labels (n_points,)."""

    labels: Tensor

    @abstractmethod
    def inputs_of(self, ids: Tensor) -> Tensor:
        """Return what models see of points ids, float32 of shape (*ids.shape, ...)."""

    def labels_of(self, ids: Tensor) -> Tensor:
        """Return the labels of points ids, in the shape of ids."""
        return pick(self.labels, ids)

    def expect(self, batches: Sequence[Tensor]) -> None:
        """Take notice of the batches whose inputs are asked for next, in order, as these very tensors.

        A feed may begin to read them. What `inputs_of` returns does not depend on it.
        """
        return

    def first(self, n_points: int) -> Tensor:
        """Return what models see of the first points, (n_points, ...)."""
        return self.inputs_of(torch.arange(n_points, device=self.labels.device))

    def batches(self, points: range, size: int) -> Iterator[Tensor]:
        """Return what models see of points, `size` of them at a time."""
        ids = torch.arange(points.start, points.stop, device=self.labels.device)
        parts = ids.split(size)
        self.expect(parts)
        return (self.inputs_of(part) for part in parts)


class Resident(Feed):
    """All of the data set on the device."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    @classmethod
    def place(cls, examples: Examples, device: str = "cpu") -> "Resident":
        """Return examples on device; arrays that share memory with a read-only buffer are copied first."""
        inputs = examples.inputs.take(np.arange(examples.n_points))
        inputs, labels = np.array(inputs, np.float32), np.array(examples.labels, np.int64)
        return cls(torch.from_numpy(inputs).to(device), torch.from_numpy(labels).to(device))

    def inputs_of(self, ids: Tensor) -> Tensor:
        """See Feed."""
        return pick(self.inputs, ids)

    def batches(self, points: range, size: int) -> Iterator[Tensor]:
        """See Feed."""
        return iter(self.inputs[points.start : points.stop].split(size))


def pick(values: Tensor, ids: Tensor) -> Tensor:
    """Return values[ids], (*ids.shape, ...), by the flat index that torch gathers fastest."""
    return values.index_select(0, ids.reshape(-1)).view(*ids.shape, *values.shape[1:])
