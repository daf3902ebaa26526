"""The loaders of a run, one set per rank."""

from typing import cast

import lightning as L
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pipeline.errors import PipelineError
from pipeline.settings.pretrain import PretrainRun, PretrainSettings
from pipeline.store.object_path import StorePath, store_path
from training.loading.loader import EpochSampler, make_loader
from training.loading.samples import NolDataset, StoredBatch, TileDataset


class PretrainData(L.LightningDataModule):
    """Training and validation samples of a store, and clean tiles where some are given.

    Args:
        store: Where it lies.
        run: Which modalities, and how many samples in a batch of one rank.
        settings: Workers, order, clean store, truth.
        seed: Of order and seasons.

    Raises:
        PipelineError: A store is missing, lacks an array, or has no valid sample in a split.
    """

    def __init__(
        self, store: StorePath, run: PretrainRun, settings: PretrainSettings, seed: int
    ) -> None:
        super().__init__()
        truth = store_path(settings.truth_store) if settings.truth_store else None
        self.train = NolDataset(store, "train", run.modalities, seed)
        self.validation = NolDataset(store, "validation", run.modalities, seed, truth)
        self.clean: TileDataset | None = None
        if settings.clean_store is not None:
            clean_store = store_path(settings.clean_store)
            self.clean = TileDataset(clean_store, settings.clean_split, run.modalities)
        self._batch_size = run.batch_size
        self._workers = settings.workers
        self._prefetch = settings.prefetch
        self._by_block = settings.shuffle == "block"
        self._seed = seed

    def require_enough_for(self, ranks: int) -> None:
        """Refuse a joint batch larger than the training set, and ranks with nothing to validate.

        Raises:
            PipelineError: With the sizes and the remedy.
        """
        joint = self._batch_size * ranks
        if joint > len(self.train):
            devices = f" on {ranks} devices" if ranks > 1 else ""
            raise PipelineError(
                f"a batch of {joint} samples (batch_size {self._batch_size}{devices}) is larger "
                f"than the training set of {len(self.train)}; lower batch_size of the run"
            )
        scored = [("validation samples", self.validation), ("clean tiles", self.clean)]
        for name, dataset in scored:
            if dataset is not None and len(dataset) < ranks:
                raise PipelineError(
                    f"{len(dataset)} {name} are too few for {ranks} devices, which score one each "
                    "at least; lower pretrain.devices or pretrain.nodes"
                )

    def train_dataloader(self) -> DataLoader[StoredBatch]:
        """Shuffled full batches, another order in each epoch."""
        shards = self.train.shards if self._by_block else None
        sampler = self._sampler(len(self.train), shuffle=True, shards=shards)
        # With workers, Lightning lets the first epoch after a restart begin before it says which
        # one it is.
        progress = self._running.fit_loop.epoch_progress.current
        sampler.set_epoch(progress.processed)  # type: ignore[attr-defined]
        return self._loader(self.train, sampler, self._workers)

    def val_dataloader(self) -> list[DataLoader[StoredBatch]]:
        """Every validation sample once, then every clean tile once."""
        few = min(self._workers, 2)
        sampler = self._sampler(len(self.validation), shuffle=False)
        loaders = [self._loader(self.validation, sampler, few)]
        if self.clean is not None:
            sampler = self._sampler(len(self.clean), shuffle=False)
            # Tiles have about four times as many pixels.
            loaders.append(self._loader(self.clean, sampler, few, -(-self._batch_size // 4)))
        return loaders

    @property
    def _running(self) -> L.Trainer:
        return cast(L.Trainer, self.trainer)

    def _sampler(
        self, count: int, shuffle: bool, shards: NDArray[np.int64] | None = None
    ) -> EpochSampler:
        return EpochSampler(
            count=count,
            batch_size=self._batch_size,
            seed=self._seed,
            shuffle=shuffle,
            rank=self._running.global_rank,
            ranks=self._running.world_size,
            shards_N=shards,
        )

    def _loader(
        self,
        dataset: NolDataset | TileDataset,
        sampler: EpochSampler,
        workers: int,
        batch_size: int | None = None,
    ) -> DataLoader[StoredBatch]:
        on_gpu = self._running.strategy.root_device.type == "cuda"
        size = batch_size or self._batch_size
        return make_loader(
            dataset, sampler, size, workers, pin_memory=on_gpu, prefetch=self._prefetch
        )
