"""Feeds: the batches of a data set, as tensors on the device that trains.

`Resident` holds the whole data set on the device, so a batch is an index and not a copy from the host.
`Streamed` reads the points of each batch when it is needed. Both give the same bits.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from typing_extensions import override

from pipeline.core.resources import Grant
from pipeline.data.examples import Examples
from pipeline.data.inputs import ArrayInputs, Inputs, read_inputs
from pipeline.data.scaling import Scaling
from pipeline.training.feed_choice import FeedChoice, choose_feed, device_dtype

# Bytes of inputs that are copied to the device at once.
_CHUNK = 2**24


_Ids = Int[np.ndarray, " n_ids"]
# The inputs of different points, and the place of each point of a batch among them.
Read = tuple[Tensor, Tensor]


class Feed(ABC):
    """A data set for the loop: inputs and labels of any points, on the device of labels (n_points,).

    scaling is applied to each batch, on the batch's device.
    """

    kind: ClassVar[str]

    def __init__(self, labels: Tensor, scaling: Scaling | None, input_shape: tuple[int, ...]) -> None:
        self.labels = labels
        terms = () if scaling is None else scaling.terms(input_shape)
        self._terms = tuple(torch.from_numpy(term).to(labels.device) for term in terms)

    @abstractmethod
    def inputs_of(self, ids: Tensor) -> Tensor:
        """Return points ids as models see them, float32 of shape (*ids.shape, ...); raises DataError."""

    def labels_of(self, ids: Tensor) -> Tensor:
        """Return the labels of points ids, in the shape of ids."""
        return pick(self.labels, ids)

    def expect(self, batches: Sequence[Tensor]) -> None:
        """Announce the next batches whose inputs will be requested, in order, as the same tensor objects.

        A feed may begin to read them. The result of `inputs_of` does not depend on it.
        """
        return

    def first(self, n_points: int) -> Tensor:
        """Return the first points as models see them, (n_points, ...)."""
        return self.inputs_of(torch.arange(n_points, device=self.labels.device))

    def batches(self, points: range, size: int) -> Iterator[Tensor]:
        """Yield points as models see them, `size` of them at a time."""
        parts = torch.arange(points.start, points.stop, device=self.labels.device).split(size)
        self.expect(parts)
        return (self.inputs_of(part) for part in parts)

    def _seen(self, inputs: Tensor) -> Tensor:
        """Return inputs as models see them."""
        if not self._terms:
            return inputs.to(torch.float32)
        divisor, mean, std = self._terms
        # The copy is scaled in place, so a batch takes a third of the memory.
        return inputs.to(torch.float32, copy=True).div_(divisor).sub_(mean).div_(std)


class Resident(Feed):
    """The whole data set on the device."""

    kind: ClassVar[str] = "resident"

    def __init__(self, inputs: Tensor, labels: Tensor, scaling: Scaling | None = None) -> None:
        super().__init__(labels, scaling, tuple(inputs.shape[1:]))
        self.inputs = inputs

    @classmethod
    def place(cls, examples: Examples, device: str = "cpu") -> "Resident":
        """Return examples on device, copied part by part; raises DataError if inputs cannot be read."""
        inputs, labels = examples.inputs, torch.from_numpy(np.array(examples.labels, np.int64)).to(device)
        placed = torch.empty(inputs.shape, dtype=_tensor(np.empty(0, inputs.dtype)).dtype, device=device)
        size = max(1, _CHUNK // max(1, inputs.dtype.itemsize * int(np.prod(examples.input_shape))))
        for ids in np.array_split(np.arange(examples.n_points), -(-examples.n_points // size)):
            placed[ids[0] : ids[-1] + 1] = _tensor(read_inputs(inputs, ids)).to(device)
        return cls(placed, labels, examples.scaling)

    @override
    def inputs_of(self, ids: Tensor) -> Tensor:
        return self._seen(pick(self.inputs, ids))

    @override
    def batches(self, points: range, size: int) -> Iterator[Tensor]:
        return map(self._seen, self.inputs[points.start : points.stop].split(size))


class Streamed(Feed):
    """A data set that the host reads batch by batch, the next ones while the device computes.

    Each point of a batch is read once, for any number of members. threads is the number of batches that are
    read at once; room is the number of bytes that batches read ahead may take.
    """

    kind: ClassVar[str] = "streamed"

    def __init__(
        self, examples: Examples, device: str = "cpu", *, threads: int = 1, room: int = 2**28
    ) -> None:
        labels = torch.from_numpy(np.array(examples.labels, np.int64)).to(device)
        super().__init__(labels, examples.scaling, examples.input_shape)
        # The function that reads a batch does not hold the feed, because a feed ends its threads when it is
        # dropped.
        self._read = partial(_read, examples.inputs, pins=self.labels.is_cuda)
        self._threads, self._room = threads, room
        self._bytes = max(1, examples.inputs.dtype.itemsize * int(np.prod(examples.input_shape)))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="feed")
        self._expected = self._read_ahead([])

    @override
    def inputs_of(self, ids: Tensor) -> Tensor:
        read = self._expected.take(ids)
        return self._gathered(self._read(_host(ids)) if read is None else read, ids)

    @override
    def expect(self, batches: Sequence[Tensor]) -> None:
        self._expected = self._read_ahead(batches)

    @override
    def batches(self, points: range, size: int) -> Iterator[Tensor]:
        """Yield points as models see them; batches expected before stay expected.

        Models are also evaluated while they descend.
        """
        parts = torch.arange(points.start, points.stop, device=self.labels.device).split(size)
        ahead = self._read_ahead(parts)
        for part in parts:
            read = ahead.take(part)
            yield self._gathered(self._read(_host(part)) if read is None else read, part)

    def _read_ahead(self, batches: Sequence[Tensor]) -> "_ReadAhead":
        largest = max((batch.numel() for batch in batches), default=1)
        n_ahead = max(1, min(self._threads + 1, self._room // (largest * self._bytes)))
        return _ReadAhead(batches, partial(self._pool.submit, self._read), n_ahead)

    def _gathered(self, read: Read, ids: Tensor) -> Tensor:
        rows, places = (part.to(self.labels.device, non_blocking=True) for part in read)
        return self._seen(pick(rows, places).view(*ids.shape, *rows.shape[1:]))


class _ReadAhead:
    """Batches of which the next n_ahead are being read; submit starts to read the points of a batch."""

    def __init__(
        self, batches: Sequence[Tensor], submit: Callable[[_Ids], "Future[Read]"], n_ahead: int
    ) -> None:
        self._waiting = deque((batch, _host(batch)) for batch in batches)
        self._reading: deque[tuple[Tensor, Future[Read]]] = deque()
        self._submit, self._n_ahead = submit, n_ahead
        self._begin()

    def take(self, ids: Tensor) -> Read | None:
        """Return the read data of the next batch if ids is the same tensor, and start to read another batch.

        Otherwise return None.
        """
        if not self._reading or self._reading[0][0] is not ids:
            return None
        _, future = self._reading.popleft()
        self._begin()
        return future.result()

    def _begin(self) -> None:
        while self._waiting and len(self._reading) < self._n_ahead:
            batch, ids = self._waiting.popleft()
            self._reading.append((batch, self._submit(ids)))


# The inputs that this process last read from files and placed on a device, by device and token, for the next
# shard.
_PLACED: dict[str | None, Tensor] = {}


def open_feed(examples: Examples, device: str = "cpu", grant: Grant | None = None) -> tuple[Feed, FeedChoice]:
    """Return the feed of examples for a task with this grant on device, and the reason for the choice.

    Raises DataError if inputs cannot be read.
    """
    grant = Grant() if grant is None else grant
    key = None if isinstance(examples.inputs, ArrayInputs) else f"{device} {examples.inputs.token}"
    held = _PLACED.get(key)
    choice = choose_feed(examples.inputs, device, grant, held=0 if held is None else held.nbytes)
    if choice.kind == "resident" and held is not None:
        labels = torch.from_numpy(np.array(examples.labels, np.int64)).to(device)
        return Resident(held, labels, examples.scaling), choice
    _PLACED.clear()
    if choice.kind == "resident":
        feed = Resident.place(examples, device)
        if key is not None:
            _PLACED[key] = feed.inputs
        return feed, choice
    if choice.is_held_in_memory:
        read = read_inputs(examples.inputs, np.arange(examples.n_points))
        examples = Examples(
            inputs=ArrayInputs(read),
            labels=examples.labels,
            n_train=examples.n_train,
            n_classes=examples.n_classes,
            scaling=examples.scaling,
        )
    return Streamed(examples, device, threads=grant.num_cpus, room=choice.room), choice


def pick(values: Tensor, ids: Tensor) -> Tensor:
    """Return values[ids], (*ids.shape, ...), by the flat index that torch gathers fastest."""
    return values.index_select(0, ids.reshape(-1)).view(*ids.shape, *values.shape[1:])


def _host(ids: Tensor) -> _Ids:
    return ids.reshape(-1).cpu().numpy()


def _read(inputs: Inputs, ids: _Ids, *, pins: bool) -> Read:
    """Return the inputs of the different points among ids, and the place of each id among them.

    With pins, they lie in memory from which a GPU copies while it computes.
    """
    unique, places = np.unique(ids, return_inverse=True)
    read = _tensor(read_inputs(inputs, unique)), torch.from_numpy(places)
    return (read[0].pin_memory(), read[1].pin_memory()) if pins else read


def _tensor(values: np.ndarray) -> Tensor:
    """Return values as a tensor of their own type or of float32; read-only memory is copied."""
    kept = values.astype(device_dtype(values.dtype), copy=False)
    return torch.from_numpy(kept if kept.flags.writeable else kept.copy())
