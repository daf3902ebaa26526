"""Our stores as a dataset of torchgeo: ``NoldoDataset("results/demo/nol.zarr", split="train")``.

The way into torchgeo's trainers and everything that speaks its conventions: a sample is a dict with
``image`` and ``mask``. Needs torchgeo (``pip install noldo[baselines]``); our own training does
not, and reads batches in `training.loading.samples`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.export.store_group import StoreGroup, open_groups
from pipeline.gallery import OPTICAL_RANGE, VH_RANGE_DB, VV_RANGE_DB
from pipeline.label_classes import LabelClass, class_palette
from pipeline.season_pixels import S1_NODATA
from pipeline.sensors import cube_bands
from pipeline.store.object_path import store_path
from training.loading.batch import S1_STEP_DB

try:
    from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset, RGBBandsMissingError
except ImportError:
    raise ImportError(
        f"{__name__} needs torchgeo, which is not installed; `pip install noldo[baselines]`"
    ) from None

Transforms = Callable[[dict[str, Tensor]], dict[str, Tensor]]

S1_BANDS = tuple(band.name for band in cube_bands("sentinel-1"))
S2_BANDS = tuple(band.name for band in cube_bands("sentinel-2"))

NODATA_DB = -35.0
"""Stands for backscatter without data, since NaN would spoil a batch: the default of
``quality.s1_floor_db``, below which the build calls values implausible."""

_RGB = ("B4", "B3", "B2")
_PANEL_INCHES = 4.0


class NoldoDataset(NonGeoDataset):
    """Samples of a store: Sentinel-1 and Sentinel-2 on one 10 m grid, and a map of classes.

    Works on ``nol.zarr``, where every season of a sample is an item of its own, and on stores of
    tiles (``dw.zarr``, ``osm.zarr``, ``dfc2020.zarr``). Only complete samples are in it.

    A sample has ``image`` (bands, rows, columns), float32: dB for Sentinel-1, reflectance x 10000
    for Sentinel-2 (0 = no data); and ``mask`` (rows, columns), int64 class ids, 255 = no label.

    Args:
        root: Folder of the store, or its URL in object storage.
        split: "train", "val" or "test"; which of them exist depends on the store.
        bands: Names, in the order of the channels.
        seasons: Numbers of the seasons to take; by default all that the store has.
        label: The array of labels, e.g. "label" or "label_dw".
        transforms: Take a sample and return it changed.

    Attributes:
        ids: Id of the sample behind each item.
        samples: Index in the store of the samples, ascending, without seasons.
        classes: Of the mask.
        frame: Rows and columns of an item.
        group_name: Group of the store that holds the split; empty where there are no groups.
        store_splits: Those of "train", "val" and "test" that the store has.

    Raises:
        DatasetNotFoundError: There is no store at the root.
        PipelineError: The store has no such split, band, season or array of labels.
    """

    splits: ClassVar[dict[str, str]] = {"train": "train", "val": "validation", "test": "test"}
    all_bands: ClassVar[tuple[str, ...]] = (*S1_BANDS, *S2_BANDS)

    def __init__(
        self,
        root: str | Path = "data",
        split: str = "train",
        bands: Sequence[str] = all_bands,
        seasons: Sequence[int] | None = None,
        label: str = "label",
        transforms: Transforms | None = None,
    ) -> None:
        assert split in self.splits, f"split {split!r} is none of {', '.join(self.splits)}"  # noqa: S101
        self.root = root
        self.split = split
        self.bands = tuple(bands)
        self.transforms = transforms
        place = store_path(str(root))
        if not (place / "zarr.json").is_file():
            raise DatasetNotFoundError(self)
        groups = open_groups(place)
        self.store_splits = _splits_in(groups)
        self._group, self.samples = self._samples_of_split(groups)
        self.group_name = self._group.name
        self.frame = self._group.shape
        self._label = label
        self.classes: tuple[LabelClass, ...] = self._group.classes(label)
        self._require(label, self.bands)
        chosen = _chosen_seasons(self._group, seasons)
        self._items = [(int(sample), season) for sample in self.samples for season in chosen]
        self.ids = [self._group.ids[sample] for sample, _ in self._items]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read one item.

        Raises:
            IndexError: There is none of that number.
        """
        sample, season = self._items[index]
        mask = self._group.read(self._label, sample, season).astype(np.int64)
        item: dict[str, Any] = {
            "image": self._image(sample, season),
            "mask": torch.from_numpy(mask),
        }
        return item if self.transforms is None else self.transforms(item)

    def plot(
        self, sample: dict[str, Tensor], show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Draw a sample: Sentinel-2 in natural colour, Sentinel-1, mask, prediction.

        Args:
            sample: As from this dataset; "mask" may be missing and "prediction" be there.
            show_titles: Whether each panel has a title.
            suptitle: Line above all.

        Raises:
            RGBBandsMissingError: The bands hold neither B4, B3, B2 nor VV, VH.
        """
        panels = self._panels(sample)
        figure, axes = plt.subplots(
            ncols=len(panels),
            figsize=(_PANEL_INCHES * len(panels), _PANEL_INCHES + 0.8),
            squeeze=False,
            layout="constrained",
        )
        for axis, (title, picture) in zip(axes[0], panels, strict=True):
            axis.imshow(picture, interpolation="none")
            axis.axis("off")
            if show_titles:
                axis.set_title(title)
        self._add_legend(axes[0][-1], sample)
        mark = "SIMULATED" if self._group.simulated else ""
        heading = "  ".join(filter(None, (mark, suptitle)))
        if heading:
            figure.suptitle(heading)
        return figure

    def _image(self, sample: int, season: int) -> Tensor:
        layers: dict[str, NDArray[np.float32]] = {}
        if set(self.bands) & set(S1_BANDS):
            stored = self._group.read("s1", sample, season)
            in_db = np.where(stored == S1_NODATA, NODATA_DB, stored * np.float32(S1_STEP_DB))
            layers |= zip(S1_BANDS, in_db.astype(np.float32), strict=True)
        if set(self.bands) & set(S2_BANDS):
            cube = self._group.read_cube(sample, season).astype(np.float32)
            layers |= zip(self._group.cube_names, cube, strict=True)
        return torch.from_numpy(np.stack([layers[name] for name in self.bands]))

    def _panels(self, sample: dict[str, Tensor]) -> list[tuple[str, NDArray[Any]]]:
        panels: list[tuple[str, NDArray[Any]]] = []
        image = dict(zip(self.bands, sample["image"].numpy(), strict=True))
        if set(_RGB) <= set(image):
            picture = np.stack([_shown(image[name], OPTICAL_RANGE) for name in _RGB], axis=-1)
            panels.append(("Sentinel-2", picture))
        if set(S1_BANDS) <= set(image):
            vv, vh = _shown(image["VV"], VV_RANGE_DB), _shown(image["VH"], VH_RANGE_DB)
            panels.append(("Sentinel-1", np.stack([vv, vh, vv], axis=-1)))
        if not panels:
            raise RGBBandsMissingError()
        palette = class_palette(self.classes)
        for key, title in (("mask", "Mask"), ("prediction", "Prediction")):
            if key in sample:
                panels.append((title, palette[sample[key].numpy().astype(np.uint8)]))
        return panels

    def _add_legend(self, axis: Axes, sample: dict[str, Tensor]) -> None:
        """Name the classes that are seen."""
        maps = [sample[key].flatten() for key in ("mask", "prediction") if key in sample]
        seen = set(torch.cat(maps).tolist()) if maps else set()
        patches = [
            Patch(facecolor=row.color, label=row.name) for row in self.classes if row.id in seen
        ]
        if patches:
            axis.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)

    def _samples_of_split(
        self, groups: Sequence[StoreGroup]
    ) -> tuple[StoreGroup, NDArray[np.int64]]:
        """The group that holds the split, and the complete samples of the split in it."""
        for group in groups:
            chosen = np.array(group.splits) == self.splits[self.split]
            if (chosen & group.valid).any():
                return group, np.flatnonzero(chosen & group.valid)
        raise PipelineError(
            f"{self.root} has no complete sample in the split {self.split!r}; "
            f"it has {', '.join(self.store_splits) or 'none at all'}"
        )

    def _require(self, label: str, bands: Sequence[str]) -> None:
        arrays = self._group.pixel_arrays
        if not self.classes:
            labels = ", ".join(name for name in arrays if self._group.classes(name))
            raise PipelineError(f"{self.root} has no labels {label!r}; it has {labels or 'none'}")
        there = (S1_BANDS if "s1" in arrays else ()) + self._group.cube_names
        missing = [name for name in bands if name not in there]
        if missing or not bands:
            raise PipelineError(
                f"{self.root} has no band {', '.join(missing)}; choose among {', '.join(there)}"
            )


def _splits_in(groups: Sequence[StoreGroup]) -> tuple[str, ...]:
    """The splits with complete samples, in torchgeo's words."""
    there = {name for group in groups for name in np.array(group.splits)[group.valid].tolist()}
    return tuple(key for key, name in NoldoDataset.splits.items() if name in there)


def _chosen_seasons(group: StoreGroup, seasons: Sequence[int] | None) -> list[int]:
    there = range(group.seasons)
    chosen = list(there if seasons is None else seasons)
    if not chosen or any(season not in there for season in chosen):
        raise PipelineError(
            f"{group.store} has the seasons {', '.join(map(str, there))}, not {chosen}"
        )
    return chosen


def _shown(values: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float64]:
    low, high = limits
    return np.clip((values.astype(np.float64) - low) / (high - low), 0.0, 1.0)
