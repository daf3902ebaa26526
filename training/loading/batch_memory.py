"""Memory of batches that go from a loader's workers to the training: shared, and used again.

A worker decompresses straight into memory that the training process sees as well, so a batch
crosses over without a copy; and memory that the training is done with serves the next batch, so the
kernel need not clear new pages, which takes longer than decompressing (`python -m tests.benchmarks
loader`). What crosses is the place of each tensor.

A worker fills one `_Block` per batch: an anonymous file, mapped by both. Its first byte says
whether somebody uses the batch. The worker sets it when the batch leaves; the training process
clears it when the last tensor of the batch is gone.
"""

import mmap
import os
import tempfile
from math import prod
from multiprocessing.reduction import DupFd
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

_HEADER = 64
"""Bytes before the first tensor; also the alignment of all, a cache line."""

_IDLE, _IN_USE = 0, 1


class _Block:
    """Shared memory of one batch, on the side of the worker."""

    def __init__(self, size: int) -> None:
        file = _anonymous_file(size)
        self.memory = mmap.mmap(file, size)
        self.name = (os.getpid(), os.urandom(8))
        self._file: int | None = file

    def hand_over(self) -> Any | None:
        """The file, for the first batch that leaves: the training process keeps it mapped."""
        file, self._file = self._file, None
        if file is None:
            return None
        handle = DupFd(file)
        os.close(file)
        return handle

    @property
    def idle(self) -> bool:
        """Whether nobody uses the batch that it held last."""
        return self.memory[0] == _IDLE


class _Place(NamedTuple):
    """Where a tensor lies in a block."""

    start: int
    shape: tuple[int, ...]
    dtype: str


class BatchMemory:
    """The blocks of one process; gives ordinary memory outside of workers."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._block: _Block | None = None
        self._end = _HEADER
        self._largest = _HEADER
        self._places: dict[int, _Place] = {}

    def begin(self) -> None:
        """Start a batch; it gets as much memory as the largest one before."""
        self._largest = max(self._largest, self._end)
        self._end, self._places = _HEADER, {}
        if get_worker_info() is None or self._largest == _HEADER:
            return
        self._blocks = [block for block in self._blocks if len(block.memory) >= self._largest]
        self._block = next((block for block in self._blocks if block.idle), None)
        if self._block is None:
            self._block = _Block(self._largest)
            self._blocks.append(self._block)

    def tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """A contiguous tensor of the present batch, with arbitrary content."""
        start = self._end
        self._end += -(-prod(shape) * dtype.itemsize // _HEADER) * _HEADER
        if self._block is None or self._end > len(self._block.memory):
            return torch.from_numpy(np.empty(shape, dtype))
        place = _Place(start, shape, dtype.str)
        tensor = _tensor_at(np.frombuffer(self._block.memory, np.uint8), place)
        self._places[tensor.data_ptr()] = place
        return tensor

    def send(self, batch: Any) -> "Parcel":
        """Make a batch ready for its way; what is not in shared memory goes by value.

        Args:
            batch: A named tuple of tensors, of dictionaries of tensors, and of plain values.
        """
        block, self._block = self._block, None
        if block is not None:
            block.memory[0] = _IN_USE
        return Parcel(block, type(batch), [self._packed(value) for value in batch])

    def _packed(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._packed(part) for name, part in value.items()}
        if not isinstance(value, Tensor):
            return value
        place = self._places.get(value.data_ptr())
        if place is None or not value.is_contiguous():
            # By value: torch would take /dev/shm for it, of which containers have 64 MB.
            return value.numpy()
        # A view may have gained or lost axes of length 1.
        return place._replace(shape=tuple(value.shape))


WORKER_MEMORY = BatchMemory()
"""Of this process: a worker serves one loader."""


class Parcel:
    """A batch on its way: pickled by the worker, the batch itself once it is unpickled."""

    def __init__(self, block: _Block | None, kind: type, values: list[Any]) -> None:
        self._block = block
        self._kind = kind
        self._values = values

    def __reduce__(self) -> tuple[Any, ...]:
        block = self._block
        if block is None:
            return _receive, (None, None, self._kind, self._values)
        return _receive, (block.name, block.hand_over(), self._kind, self._values)


_received: dict[tuple[int, bytes], mmap.mmap] = {}
"""Blocks of workers, by name, on the side of the training."""


def _receive(name: tuple[int, bytes] | None, file: Any, kind: type, values: list[Any]) -> Any:
    if name is None:
        return kind(*(_unpacked(None, value) for value in values))
    if file is not None:
        _forget_ended_workers()
        descriptor = file.detach()
        _received[name] = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        os.close(descriptor)
    memory = _received[name]
    content = np.asarray(_Lease(memory))
    return kind(*(_unpacked(content, value) for value in values))


class _Lease:
    """The use of a block by one batch: every tensor of the batch keeps it alive."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self.__array_interface__ = np.frombuffer(memory, np.uint8).__array_interface__

    def __del__(self) -> None:
        self._memory[0] = _IDLE


def _unpacked(content: NDArray[np.uint8] | None, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unpacked(content, part) for name, part in value.items()}
    if isinstance(value, _Place) and content is not None:
        return _tensor_at(content, value)
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _tensor_at(content: NDArray[np.uint8], place: _Place) -> Tensor:
    dtype = np.dtype(place.dtype)
    end = place.start + prod(place.shape) * dtype.itemsize
    return torch.from_numpy(content[place.start : end].view(dtype).reshape(place.shape))


def _forget_ended_workers() -> None:
    # Another loader may receive at the same time, in a thread of its own.
    for name in list(_received):
        if not _runs(name[0]):
            _received.pop(name, None)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:  # no such process, or one of somebody else
        return False
    return True


def _anonymous_file(size: int) -> int:
    """A file without a name, in memory where the system has such files; gone with its users."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("batch")
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, size)
    return file
