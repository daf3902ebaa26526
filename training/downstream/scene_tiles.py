"""Tiles with one class each: imagery, and the class of the whole tile.

Stores of scenes such as EuroSAT keep a record of the class; elsewhere the class that covers most of
a tile's labels stands for it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.legend import UNLABELLED
from pipeline.store.create import read_attributes
from pipeline.store.object_path import StorePath
from pipeline.store.reader import open_store
from pipeline.store.shard_reader import open_chunks
from training.cromss.fusion import Modality
from training.downstream.task_tiles import require_band_order, valid_tiles


class SceneTiles:
    """The labelled tiles of one group.

    Args:
        store: Folder of a tile store.
        group: Its group.
        modality: Whose imagery to read.
        record: Record with the class of each tile, or the labels of its pixels.

    Attributes:
        store: As given.
        group: As given.
        labels_N: int64 class of each tile.
        classes: Names by id, from the CF attributes of the record.

    Raises:
        PipelineError: The store lacks the imagery, the record, or any labelled tile.
    """

    def __init__(self, store: StorePath, group: str, modality: Modality, record: str) -> None:
        self.store, self.group = store, group
        attributes = read_attributes(store / group / record)
        for name, found in ((record, attributes), (modality, read_attributes(store / group))):
            if found is None or not (store / group / name).is_dir():
                raise PipelineError(f"{store} has no {name} in its group {group!r}; import it")
        require_band_order(store, group, modality)
        kept = valid_tiles(store, group)
        labels = _one_class_each(open_store(store, group=group)[record], kept)
        labelled = np.isfinite(labels) & (labels != UNLABELLED)
        if not labelled.any():
            raise PipelineError(f"no tile of the group {group!r} of {store} has a {record}")
        self.samples = kept[labelled]
        self.labels_N: NDArray[np.int64] = labels[labelled].astype(np.int64)
        names = str((attributes or {}).get("flag_meanings", "")).split()
        self.classes = tuple(names) or tuple(map(str, range(int(self.labels_N.max()) + 1)))
        self._array: str = modality
        self._reader = open_chunks(store / group / modality)

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, size: int) -> Iterator[dict[str, Tensor]]:
        """Stored integers by array, (B, bands, rows, columns), in the order of the tiles."""
        for first in range(0, len(self), size):
            samples = self.samples[first : first + size]
            batch: NDArray[Any] = np.empty(
                (len(samples), *self._reader.item_shape), self._reader.dtype
            )
            for row, sample in enumerate(samples):
                self._reader.read_into(batch[row], int(sample), 0)
            yield {self._array: torch.from_numpy(batch)}


def _one_class_each(labels: xr.DataArray, samples: NDArray[np.int64]) -> NDArray[Any]:
    """Class of each tile; where every pixel has one, the most frequent, the first of equals."""
    if labels.ndim == 1:
        return labels.to_numpy()[samples]
    classes = np.full(len(samples), UNLABELLED, np.int64)
    for row, sample in enumerate(samples):
        pixels = labels[sample].to_numpy()
        counts = np.bincount(pixels[pixels != UNLABELLED].astype(np.int64).ravel(), minlength=1)
        if counts.any():
            classes[row] = counts.argmax()
    return classes
