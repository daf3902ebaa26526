"""Which samples a process reads, in which order, and the worker processes that read them."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from training.loading.batch_memory import WORKER_MEMORY
from training.loading.samples import Draw, NolDataset, StoredBatch, TileDataset

WINDOW_SHARDS = 8
"""Shards whose samples are mixed when shuffling by blocks: 512 samples at the usual 64 a shard."""


def block_order(shards_N: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """A random order of samples that stays within a few shards for a while.

    The shards are shuffled and taken in windows of `WINDOW_SHARDS`; the samples are shuffled inside
    each window. A disk then seeks in a few files, and a reader of object storage needs the index of
    each shard once.

    Args:
        shards_N: Shard of each sample.
        generator: Of the order.

    Returns:
        (N,) positions, each once.
    """
    numbers, place_N = np.unique(shards_N, return_inverse=True)
    window_N = generator.permutation(len(numbers))[place_N] // WINDOW_SHARDS
    return np.lexsort((generator.random(len(shards_N)), window_N))


class EpochSampler(Sampler[Draw]):
    """Which positions a rank visits in an epoch, and in which order.

    The joint batches of all ranks hold the same samples as those of one rank with a batch as large
    as theirs together. Every rank makes the same number of full batches; what is left over at the
    end of an epoch is another remainder in the next.

    Args:
        count: Length of the dataset.
        batch_size: Samples in a batch of one rank.
        seed: Of the shuffling.
        shuffle: False visits every position once, in order, shared out over the ranks.
        rank: This process, from 0.
        ranks: Number of processes.
        shards_N: Shard of each position, to shuffle by blocks of shards (`block_order`); None
            shuffles all positions together.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        ranks: int = 1,
        shards_N: NDArray[np.int64] | None = None,
    ) -> None:
        self._count = count
        self._joint_batch = batch_size * ranks
        self._seed = seed
        self._shuffle = shuffle
        self._rank = rank
        self._ranks = ranks
        self._shards_N = shards_N
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(range(self._rank, self._visited(), self._ranks))

    def __iter__(self) -> Iterator[Draw]:
        if not self._shuffle:
            # Validation sees the same season of a sample in every epoch.
            return iter([Draw(0, place) for place in range(self._rank, self._count, self._ranks)])
        mine = self._order()[self._rank : self._visited() : self._ranks]
        return iter([Draw(self._epoch, int(place)) for place in mine])

    def _order(self) -> NDArray[np.int64]:
        """All positions in the order of this epoch, the same on every rank."""
        generator = np.random.default_rng((self._seed, self._epoch))
        if self._shards_N is None:
            return generator.permutation(self._count)
        return block_order(self._shards_N, generator)

    def _visited(self) -> int:
        if not self._shuffle:
            return self._count
        return self._count // self._joint_batch * self._joint_batch


def make_loader(
    dataset: NolDataset | TileDataset,
    sampler: EpochSampler,
    batch_size: int,
    workers: int,
    pin_memory: bool = False,
    prefetch: int = 2,
) -> DataLoader[StoredBatch]:
    """A loader of whole batches, in this process or in spawned ones that live through the run.

    Args:
        dataset: To read from.
        sampler: Which samples, in which order.
        batch_size: Samples in a batch.
        workers: Processes that read; 0 reads here.
        pin_memory: Copy batches into memory that a GPU fetches from while it computes.
        prefetch: Batches that each worker reads ahead.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=_as_sent if workers else _as_read,
        pin_memory=pin_memory,
        prefetch_factor=prefetch if workers else None,
        # Seeds for the workers, who draw nothing; torch's own generator is for random layers.
        generator=torch.Generator(),
        # A forked worker would inherit locks and threads of CUDA and of the codecs.
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=partial(_end_without, os.getpid()) if workers else None,
    )


def _end_without(parent: int, _worker: int) -> None:
    """End a worker whose parent died while it started: torch watches over the parent only later."""
    if os.getppid() != parent:
        os._exit(1)


def _as_read(batch: Any) -> Any:
    return batch


def _as_sent(batch: Any) -> Any:
    return WORKER_MEMORY.send(batch)
