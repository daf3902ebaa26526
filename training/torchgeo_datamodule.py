"""The loaders of a store for torchgeo's trainers, with kornia's augmentation on the device.

``NoldoDataModule(root="results/demo/nol.zarr", batch_size=32)`` goes to a Lightning `Trainer` with
torchgeo's `SemanticSegmentationTask`, whose ``ignore_index`` is 255 here.
"""

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from pipeline.errors import PipelineError
from pipeline.store.create import read_attributes
from pipeline.store.object_path import store_path
from training.cromss.fusion import Modality
from training.downstream.tile_statistics import tile_statistics
from training.loading.inputs import contract_of
from training.torchgeo_dataset import S1_BANDS, NoldoDataset

try:
    import kornia.augmentation as K
    from torchgeo.datamodules import NonGeoDataModule
except ImportError:
    raise ImportError(
        f"{__name__} needs torchgeo, which is not installed; `pip install noldo[baselines]`"
    ) from None

_STRIDE = 32
"""Whole frames are cut to a multiple of it, which networks of five stages need."""


class NoldoDataModule(NonGeoDataModule):
    """Training, validation and test samples of one store, normalised by its training statistics.

    Training takes random crops, flips and quarter turns: nothing that would make up pixels or
    labels. Validation and test take the centre of each frame, as large as a multiple of 32 can be.
    Where a store has no validation split (stores of tiles), a share of the training tiles is it.

    Args:
        root: Folder of the store, or its URL in object storage.
        batch_size: Samples in a batch.
        patch_size: Rows and columns of the crops for training.
        num_workers: Processes of each loader.
        val_split_pct: Share of the training samples, with all their seasons, to validate on where
            the store has no split for that.
        **kwargs: Further arguments of `NoldoDataset`: ``bands``, ``seasons``, ``label``.
    """

    def __init__(
        self,
        root: str | Path = "data",
        batch_size: int = 32,
        patch_size: int = 256,
        num_workers: int = 0,
        val_split_pct: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(NoldoDataset, batch_size, num_workers, root=root, **kwargs)
        self.patch_size = patch_size
        self.val_split_pct = val_split_pct

    def setup(self, stage: str) -> None:
        """Open the splits of a stage, and take the statistics for scaling.

        A store without a test split leaves the test loader out, and torchgeo says so.

        Args:
            stage: "fit", "validate", "test" or "predict".

        Raises:
            DatasetNotFoundError: There is no store at the root.
            PipelineError: The store lacks a band, is smaller than the crops, or has one sample.
        """
        train = NoldoDataset(split="train", **self.kwargs)
        self._prepare_augmentation(train)
        if stage in ("fit", "validate"):
            self.train_dataset, self.val_dataset = self._fit_splits(train)
        if stage in ("test", "predict") and "test" in train.store_splits:
            self.test_dataset = NoldoDataset(split="test", **self.kwargs)
            self.predict_dataset = self.test_dataset

    def _dataloader_factory(self, split: str) -> DataLoader[dict[str, Any]]:
        """A loader as torchgeo makes it, whose workers are spawned.

        Forked ones would inherit the threads that read object storage, and hang.
        """
        loader: DataLoader[dict[str, Any]] = super()._dataloader_factory(split)
        if loader.num_workers:
            loader.multiprocessing_context = "spawn"
        return loader

    def _fit_splits(self, train: NoldoDataset) -> tuple[Dataset[Any], Dataset[Any]]:
        if "val" in train.store_splits:
            return train, NoldoDataset(split="val", **self.kwargs)
        places, seasons = len(train.samples), len(train) // len(train.samples)
        if places < 2:
            raise PipelineError(
                f"{train.root} has one training sample, and none would be left to train on beside "
                "validation; build a larger store"
            )
        held_out = max(1, round(self.val_split_pct * places))
        order = torch.randperm(places, generator=torch.Generator().manual_seed(0)).tolist()

        def items(chosen: list[int]) -> Subset[Any]:
            # Whole samples, since the seasons of a place are alike.
            return Subset(train, [place * seasons + t for place in chosen for t in range(seasons)])

        return items(order[held_out:]), items(order[:held_out])

    def _prepare_augmentation(self, train: NoldoDataset) -> None:
        frame = train.frame
        if self.patch_size > min(frame):
            raise PipelineError(
                f"patch_size {self.patch_size} is larger than the {frame[0]} x {frame[1]} pixels "
                f"of {train.root}; choose {min(frame) // _STRIDE * _STRIDE} or less"
            )
        numbers = band_statistics(train)
        self.mean = torch.tensor([numbers[name][0] for name in train.bands])
        self.std = torch.tensor([numbers[name][1] for name in train.bands])
        normalize = K.Normalize(mean=self.mean, std=self.std)
        self.train_aug = K.AugmentationSequential(
            normalize,
            K.RandomCrop((self.patch_size, self.patch_size)),
            K.RandomHorizontalFlip(p=0.5),
            K.RandomVerticalFlip(p=0.5),
            K.RandomRotation90(times=(0, 3), p=1.0),
            data_keys=None,
            keepdim=True,
        )
        whole = (frame[0] // _STRIDE * _STRIDE, frame[1] // _STRIDE * _STRIDE)
        self.aug = K.AugmentationSequential(
            normalize, K.CenterCrop(whole), data_keys=None, keepdim=True
        )


def band_statistics(dataset: NoldoDataset) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each band of a dataset, in dB or reflectance x 10000.

    From the store's own statistics of its training samples; of an imported store of tiles, which
    has none, up to 128 tiles are read.

    Raises:
        PipelineError: The store has no statistics of a band yet, or a band is constant.
    """
    numbers: dict[str, tuple[float, float]] = {}
    s1 = tuple(name for name in dataset.bands if name in S1_BANDS)
    s2 = tuple(name for name in dataset.bands if name not in S1_BANDS)
    sensors: tuple[tuple[Modality, tuple[str, ...]], ...] = (("s1", s1), ("s2", s2))
    for modality, bands in sensors:
        if bands:
            contract = contract_of(modality, bands, "standard", _statistics(dataset, modality))
            pairs = zip(contract.mean, contract.std, strict=True)
            numbers |= zip(bands, pairs, strict=True)
    return numbers


def _statistics(dataset: NoldoDataset, modality: Modality) -> dict[str, dict[str, float]]:
    store = store_path(str(dataset.root))
    if dataset.group_name:
        return tile_statistics(store, dataset.group_name, modality, dataset.samples)
    attributes = read_attributes(store) or {}
    bands = attributes.get("statistics", {}).get("bands", {})
    return dict(bands.get("train", {}).get("all", {}))
