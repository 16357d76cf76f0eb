"""Feeds: the batches of a data set, as tensors on the device that trains.

`Resident` holds the whole data set on the device, so a batch is selected there and not copied from the host.
`Streamed` reads the points of each batch when they are needed. Both give the same bits.
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
# A batch as the host reads it: the inputs of its distinct points, and the row of each of its ids among them.
Read = tuple[Tensor, Tensor]


class Feed(ABC):
    """A data set as the training loop reads it: inputs and labels of any points, on one device.

    labels (n_points,) are on this device. scaling is applied to each batch there.
    """

    kind: ClassVar[str]

    def __init__(self, labels: Tensor, scaling: Scaling | None, input_shape: tuple[int, ...]) -> None:
        self.labels = labels
        terms = () if scaling is None else scaling.terms(input_shape)
        self._terms = tuple(torch.from_numpy(term).to(labels.device) for term in terms)

    @abstractmethod
    def inputs_of(self, ids: Tensor) -> Tensor:
        """Return the inputs of points ids as models see them: scaled, in float32, (*ids.shape, ...).

        Raises DataError if they cannot be read.
        """

    def labels_of(self, ids: Tensor) -> Tensor:
        """Return the labels of points ids, in the shape of ids."""
        return pick(self.labels, ids)

    def expect(self, batches: Sequence[Tensor]) -> None:
        """Announce the ids of the next batches, in the order in which `inputs_of` will be called with them.

        A feed may begin to read their inputs, for calls that pass the same tensor objects. The results of
        `inputs_of` are the same without this call.
        """
        return

    def first(self, n_points: int) -> Tensor:
        """Return the inputs of the first n_points points as models see them, (n_points, ...)."""
        return self.inputs_of(torch.arange(n_points, device=self.labels.device))

    def batches(self, points: range, size: int) -> Iterator[Tensor]:
        """Yield the inputs of points as models see them, `size` points at a time."""
        parts = torch.arange(points.start, points.stop, device=self.labels.device).split(size)
        self.expect(parts)
        return (self.inputs_of(part) for part in parts)

    def _seen(self, inputs: Tensor) -> Tensor:
        """Return inputs as models see them: scaled, in float32."""
        if not self._terms:
            return inputs.to(torch.float32)
        divisor, mean, std = self._terms
        # The copy is scaled in place, so a batch takes a third of the memory.
        return inputs.to(torch.float32, copy=True).div_(divisor).sub_(mean).div_(std)


class Resident(Feed):
    """A feed that holds the whole data set on the device."""

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
    """A feed that reads inputs batch by batch on the host, the next batches while the device computes.

    A point that several members use in one batch is read once. threads is the number of batches that are read
    at the same time; room is the number of bytes that batches read in advance may take.
    """

    kind: ClassVar[str] = "streamed"

    def __init__(
        self, examples: Examples, device: str = "cpu", *, threads: int = 1, room: int = 2**28
    ) -> None:
        labels = torch.from_numpy(np.array(examples.labels, np.int64)).to(device)
        super().__init__(labels, examples.scaling, examples.input_shape)
        # This function must not refer to the feed. The threads end when the feed is garbage-collected, and a
        # reference in a waiting task would keep the feed alive.
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
        """Yield the inputs of points as models see them, `size` points at a time.

        Batches announced by `expect` stay announced, because models are also evaluated while they train.
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
    """Reads batches in order, up to n_ahead of them in advance; submit starts to read the given ids."""

    def __init__(
        self, batches: Sequence[Tensor], submit: Callable[[_Ids], "Future[Read]"], n_ahead: int
    ) -> None:
        self._waiting = deque((batch, _host(batch)) for batch in batches)
        self._reading: deque[tuple[Tensor, Future[Read]]] = deque()
        self._submit, self._n_ahead = submit, n_ahead
        self._begin()

    def take(self, ids: Tensor) -> Read | None:
        """Return the data of the next batch if ids is that batch's tensor object, else None.

        Once the data are taken, one more batch starts to be read.
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


# The inputs that this process last read from files and copied to a device, kept for its next shard. The key
# names the device and the inputs' token.
_PLACED: dict[str | None, Tensor] = {}


def open_feed(examples: Examples, device: str = "cpu", grant: Grant | None = None) -> tuple[Feed, FeedChoice]:
    """Return a feed of examples on device that fits into the memory of grant, and the choice of its kind.

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
    """Return values[ids], (*ids.shape, ...); ids are flattened, because torch gathers flat ids fastest."""
    return values.index_select(0, ids.reshape(-1)).view(*ids.shape, *values.shape[1:])


def _host(ids: Tensor) -> _Ids:
    return ids.reshape(-1).cpu().numpy()


def _read(inputs: Inputs, ids: _Ids, *, pins: bool) -> Read:
    """Return the inputs of the distinct points among ids, and the row of each id in these inputs.

    If pins is true, both lie in pinned memory, from which a GPU can copy while it computes.
    """
    unique, places = np.unique(ids, return_inverse=True)
    read = _tensor(read_inputs(inputs, unique)), torch.from_numpy(places)
    return (read[0].pin_memory(), read[1].pin_memory()) if pins else read


def _tensor(values: np.ndarray) -> Tensor:
    """Return values as a tensor of the type that `device_dtype` gives; read-only memory is copied."""
    kept = values.astype(device_dtype(values.dtype), copy=False)
    return torch.from_numpy(kept if kept.flags.writeable else kept.copy())
