"""Samples as a store holds them: batches of stored integers, read in the loader's workers.

Nothing is decoded, scaled or cropped here; `training.loading.batch` does that on the device, for a
whole batch at once. Datasets can be pickled into spawned workers and open their files there.

Shapes: B batch, T seasons, H rows, W columns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.errors import PipelineError
from pipeline.store.object_path import StorePath
from pipeline.store.reader import open_store
from pipeline.store.shard_reader import ShardedArray, ZarrArray, open_chunks
from training.cromss.fusion import Modality
from training.loading.batch_memory import WORKER_MEMORY
from training.loading.random_numbers import uniform

NUM_CLASSES = 9
"""Classes of the noisy labels: those of Dynamic World."""

SEASON_DRAW = 0
"""Number of the random draw that chooses the season of a sample."""

_NATIVE_S2 = ("s2_10m", "s2_20m", "s2_60m")
Reader = ShardedArray | ZarrArray

_BOTH: tuple[Modality, ...] = ("s1", "s2")


class StoredBatch(NamedTuple):
    """A batch as stored.

    Attributes:
        epoch: That the samples were drawn for.
        sample_B: int64, index of each sample in its store.
        season_B: int64, which season the imagery is of.
        imagery: By array of the store, (B, bands, rows, columns) of the stored dtype: "s1", and
            "s2" or "s2_10m", "s2_20m", "s2_60m".
        labels_BTHW: uint8 of all seasons; 255 is no label.
        truth_BHW: uint8 true labels of the season, or None where nobody knows them.
    """

    epoch: int
    sample_B: Tensor
    season_B: Tensor
    imagery: dict[str, Tensor]
    labels_BTHW: Tensor
    truth_BHW: Tensor | None


class Draw(NamedTuple):
    """What a sampler asks a dataset for: a position in the dataset, in an epoch."""

    epoch: int
    position: int


def arrays_of(store: StorePath, modalities: Sequence[Modality]) -> tuple[str, ...]:
    """The arrays of a store (or a group of one) that hold the imagery of these modalities.

    Raises:
        PipelineError: The store lacks one of them.
    """
    s2 = ("s2",) if (store / "s2" / "zarr.json").is_file() else _NATIVE_S2
    names = (("s1",) if "s1" in modalities else ()) + (s2 if "s2" in modalities else ())
    missing = [name for name in (*names, "label") if not (store / name / "zarr.json").is_file()]
    if missing:
        raise PipelineError(
            f"{store} has no array {', '.join(missing)}, which training on "
            f"{' and '.join(modalities)} needs; build or import the store again"
        )
    return names


class NolDataset(Dataset[StoredBatch]):
    """The valid samples of one split of a store with four seasons; one season is drawn for each.

    Args:
        store: Where it lies.
        split: "train" or "validation".
        modalities: Whose imagery to read.
        seed: Of the choice of seasons.
        truth: A store with the true labels of the same samples, if there is one.

    Attributes:
        samples: Index in the store of every sample, ascending.
        ids: Their location ids.
        shards: int64 shard of the store that holds each sample.

    Raises:
        PipelineError: An array or a shard is missing, or no sample of the split is valid.
    """

    def __init__(
        self,
        store: StorePath,
        split: str,
        modalities: Sequence[Modality] = _BOTH,
        seed: int = 0,
        truth: StorePath | None = None,
    ) -> None:
        dataset = open_store(store)
        names = arrays_of(store, modalities)
        valid = dataset["valid"].to_numpy()
        chosen = valid & (dataset["split"].to_numpy() == split)
        self.samples = np.flatnonzero(chosen)
        if len(self.samples) == 0:
            raise PipelineError(
                f"{store} has no valid sample in the split {split!r}, {valid.sum()} in all of "
                f"{len(valid)}; build more locations or raise locations.validation_share"
            )
        self.ids = [str(name) for name in dataset["id"].to_numpy()[self.samples]]
        self._seed = seed
        self._seasons = dataset.sizes["time"]
        self._imagery = {name: _opened(store / name, self.samples) for name in names}
        self._label = _opened(store / "label", self.samples)
        self._truth = _opened(truth / "label", self.samples) if truth else None
        self.shards = self.samples // self._label.samples_per_shard

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, request: int | Draw) -> StoredBatch:
        return self.__getitems__([request])

    def __getitems__(self, requests: Sequence[int | Draw]) -> StoredBatch:
        """Read a batch of one epoch; a bare position is one of epoch 0.

        Raises:
            PipelineError: A label is no class, or a file is damaged.
        """
        draws = [request if isinstance(request, Draw) else Draw(0, request) for request in requests]
        epoch = draws[0].epoch
        samples = self.samples[[draw.position for draw in draws]]
        shares = uniform(self._seed, epoch, torch.from_numpy(samples), SEASON_DRAW)
        seasons = (shares.numpy() * self._seasons).astype(np.int64)
        WORKER_MEMORY.begin()
        labels = _all_seasons(self._label, samples)
        _require_classes(labels.numpy(), samples)
        truth_BHW = None
        if self._truth is not None:
            truth_BHW = _one_season(self._truth, samples, seasons, axes=2)
        return StoredBatch(
            epoch=epoch,
            sample_B=torch.from_numpy(samples),
            season_B=torch.from_numpy(seasons),
            imagery=_imagery(self._imagery, samples, seasons),
            labels_BTHW=labels,
            truth_BHW=truth_BHW,
        )


class TileDataset(Dataset[StoredBatch]):
    """The tiles of one group of a tile store, such as ``test`` of ``dw.zarr``.

    Args:
        store: Where it lies.
        split: Its group.
        modalities: Whose imagery to read.
        label: The array of labels, e.g. "label" or "label_dw".

    Raises:
        PipelineError: An array or a shard is missing, or the group has no tile.
    """

    def __init__(
        self,
        store: StorePath,
        split: str,
        modalities: Sequence[Modality] = _BOTH,
        label: str = "label",
    ) -> None:
        dataset = open_store(store, group=split)
        group = store / split
        count = dataset.sizes["sample"]
        valid = dataset["valid"].to_numpy() if "valid" in dataset else np.ones(count, bool)
        self.samples = np.flatnonzero(valid)
        if len(self.samples) == 0:
            raise PipelineError(f"the group {split!r} of {store} has no valid tile; build it again")
        names = arrays_of(group, modalities)
        self._imagery = {name: _opened(group / name, self.samples) for name in names}
        self._label = _opened(group / label, self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> StoredBatch:
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int | Draw]) -> StoredBatch:
        """Read a batch of tiles: one "season", and labels that are neither checked nor noisy."""
        places = [place.position if isinstance(place, Draw) else place for place in positions]
        samples = self.samples[places]
        seasons = np.zeros(len(samples), np.int64)
        WORKER_MEMORY.begin()
        labels = _one_season(self._label, samples, seasons, axes=2)
        return StoredBatch(
            epoch=0,
            sample_B=torch.from_numpy(samples),
            season_B=torch.from_numpy(seasons),
            imagery=_imagery(self._imagery, samples, seasons),
            labels_BTHW=labels[:, None],
            truth_BHW=None,
        )


def _opened(array: StorePath, samples: NDArray[np.int64]) -> Reader:
    """An array that has the files of all samples, as a lost one is better known before a run."""
    reader = open_chunks(array)
    if isinstance(reader, ShardedArray):
        reader.require(samples)
    return reader


def _imagery(
    readers: dict[str, Reader], samples: NDArray[np.int64], seasons: NDArray[np.int64]
) -> dict[str, Tensor]:
    return {name: _one_season(reader, samples, seasons, axes=3) for name, reader in readers.items()}


def _one_season(
    reader: Reader, samples: NDArray[np.int64], seasons: NDArray[np.int64], axes: int
) -> Tensor:
    """(B, ...) with so many axes behind the batch, whether or not chunks hold all seasons."""
    chunks = _chunks(reader, samples, seasons)
    if chunks.ndim == 1 + axes:
        return chunks
    return chunks[torch.arange(len(samples)), torch.from_numpy(seasons)]


def _all_seasons(reader: Reader, samples: NDArray[np.int64]) -> Tensor:
    """(B, T, H, W), whether or not chunks hold all seasons."""
    if len(reader.item_shape) == 3:
        return _chunks(reader, samples, np.zeros_like(samples))
    each = [_chunks(reader, samples, np.full_like(samples, t)) for t in range(reader.shape[1])]
    return torch.stack(each, dim=1)


def _chunks(reader: Reader, samples: NDArray[np.int64], seasons: NDArray[np.int64]) -> Tensor:
    batch = WORKER_MEMORY.tensor((len(samples), *reader.item_shape), reader.dtype)
    reader.read_batch(batch.numpy(), samples, seasons)
    return batch


def _require_classes(labels_BTHW: NDArray[np.uint8], samples: NDArray[np.int64]) -> None:
    """Refuse what is neither a class nor 255: on a GPU it would be an index out of bounds."""
    # 255 wraps around to 0, so that one comparison does.
    foreign_B = (labels_BTHW + np.uint8(1)).max(axis=(1, 2, 3)) > NUM_CLASSES
    if foreign_B.any():
        first = int(np.argmax(foreign_B))
        found = labels_BTHW[first][labels_BTHW[first] != 255].max()
        raise PipelineError(
            f"sample {samples[first]} has the label {found}; labels are 0 to {NUM_CLASSES - 1}, "
            "or 255 for none; translate the labels when importing"
        )
