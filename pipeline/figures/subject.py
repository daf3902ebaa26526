"""What the figures show of a store: its places, its classes and a few examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline.inspect import Place, open_groups, valid_samples
from pipeline.label_classes import LabelClass, label_classes, label_ids
from pipeline.legend import UNLABELLED
from pipeline.report.label_sums import store_label_sums
from pipeline.store.create import read_attributes

_CANDIDATES = 12
"""Samples of which an example is chosen."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A store, open.

    Attributes:
        path: Its folder.
        groups: Datasets by group; the name is empty where there is one only.
    """

    path: Path
    groups: Mapping[str, xr.Dataset]

    @property
    def name(self) -> str:
        """Name of the store's folder, without suffix."""
        return self.path.stem

    @property
    def seasonal(self) -> bool:
        """Whether its samples have four seasons."""
        return "time" in self._first.sizes

    @property
    def simulated(self) -> bool:
        """Whether its pixels come from the simulated Earth."""
        return bool(self._first.attrs.get("simulated"))

    @property
    def legend(self) -> tuple[LabelClass, ...]:
        """Classes of its label or of its scenes; empty if it has neither."""
        array = next((name for name in ("label", "scene_class") if name in self._first), None)
        return label_classes(self._first[array].attrs) if array else ()

    @cached_property
    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Pixels, or scenes, of each label value (256,) by split."""
        if "label" not in self._first:
            return self._scene_counts()
        known = (read_attributes(self.path) or {}).get("statistics")
        if known and "classes" in known:
            return {
                split: self._by_id(seasons["all"]) for split, seasons in known["classes"].items()
            }
        return store_label_sums(self.path).classes

    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of the complete samples, degrees."""
        complete = [
            store.isel(sample=store["valid"].values.astype(bool)) for store in self.groups.values()
        ]
        lon, lat = (
            np.concatenate([store[name].values for store in complete]) for name in ("lon", "lat")
        )
        return lon, lat

    def examples(self, count: int) -> list[xr.Dataset]:
        """Complete samples with little cloud and much label, from all parts of the store."""
        parts = np.array_split(np.arange(len(self._complete)), count)
        return [self._telling(part) for part in parts if len(part)]

    @cached_property
    def _complete(self) -> list[Place]:
        return valid_samples(self.groups)

    def _telling(self, part: NDArray[np.intp]) -> xr.Dataset:
        """Of the least cloudy samples of a part, the one that shows the most labels."""
        by_cloud = sorted(part, key=lambda row: self._cloud(self._complete[row]))
        candidates = [self._complete[row] for row in by_cloud[:_CANDIDATES]]
        best = max(candidates, key=self._labelling)
        return self.groups[best.group].isel(sample=best.index).load()

    def _labelling(self, place: Place) -> float:
        """Labelled share, and a little for each class."""
        store = self.groups[place.group]
        if "label" not in store:
            return 0.0
        ids = label_ids(store["label"].isel(sample=place.index).values)
        labelled = ids[ids != UNLABELLED]
        return labelled.size / ids.size + 0.05 * len(np.unique(labelled))

    @property
    def _first(self) -> xr.Dataset:
        return next(iter(self.groups.values()))

    def _cloud(self, place: Place) -> float:
        cover = np.asarray(self.groups[place.group]["cloud_cover"].values[place.index], np.float64)
        known = cover[np.isfinite(cover)]
        return float(known.max()) if known.size else 100.0

    def _by_id(self, pixels: Mapping[str, Any]) -> NDArray[np.int64]:
        counts = np.zeros(256, np.int64)
        for row in self.legend:
            counts[row.id] = pixels[row.key]
        return counts

    def _scene_counts(self) -> dict[str, NDArray[np.int64]]:
        counts = {}
        for name, store in self.groups.items():
            if "scene_class" in store:
                valid = store["valid"].values.astype(bool)
                ids = store["scene_class"].values[valid].astype(np.uint8)
                counts[name or "all"] = np.bincount(ids, minlength=256)
        return counts


def open_subject(path: Path) -> Subject:
    """Open a store for the figures.

    Raises:
        PipelineError: There is no store at the path, or it is not one of ours.
    """
    return Subject(path, open_groups(path))
