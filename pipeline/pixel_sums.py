"""Exact sums over the pixels of scenes, from which statistics are made.

Everything is summed as integers of the stored values, so sums depend neither on the number of cores
nor on the order in which they are merged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BandSums:
    """Exact sums over the pixels of one band, in stored units.

    Attributes:
        count: Pixels with data.
        total: Sum of their values.
        squares: Sum of the squares of their values.
        smallest: Smallest value; meaningless without pixels.
        largest: Largest value; meaningless without pixels.
    """

    count: int
    total: int
    squares: int
    smallest: int
    largest: int

    def merged(self, other: "BandSums") -> "BandSums":
        """The sums over the pixels of both."""
        return BandSums(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            min(self.smallest, other.smallest),
            max(self.largest, other.largest),
        )

    def figures(self, scale: float) -> dict[str, float | int]:
        """Count, mean, standard deviation (of the population), minimum and maximum, times scale."""
        variance = (self.count * self.squares - self.total**2) / self.count**2
        return {
            "count": self.count,
            "mean": self.total / self.count * scale,
            "std": math.sqrt(variance) * scale,
            "min": self.smallest * scale,
            "max": self.largest * scale,
        }


SceneKey = tuple[str, int]
"""Split and season of a scene."""

BandKey = tuple[str, int, str]
"""Split, season, band."""


@dataclass
class Sums:
    """What is counted over a part of a store; parts are merged in any order.

    Attributes:
        bands: Sums by (split, season, band).
        labels: Pixels of each label value (256) by (split, season).
    """

    bands: dict[BandKey, BandSums] = field(default_factory=dict)
    labels: dict[SceneKey, NDArray[np.int64]] = field(default_factory=dict)

    def add_band(self, key: BandKey, sums: BandSums) -> None:
        """Add the sums of more pixels of a band."""
        if sums.count:
            known = self.bands.get(key)
            self.bands[key] = known.merged(sums) if known else sums

    def add_scenes(
        self,
        scenes: Sequence[SceneKey],
        bands: Sequence[str],
        values: NDArray[Any],
        with_data: NDArray[np.bool_],
    ) -> None:
        """Add all bands of several scenes.

        Args:
            scenes: Split and season of each scene.
            bands: Names of the bands.
            values: (scene, band, y, x), integers of 16 bits as stored.
            with_data: (scene, y, x).
        """
        by_scene = _scene_sums(values, with_data)
        for key in dict.fromkeys(scenes):
            chosen = [scene == key for scene in scenes]
            for name, sums in zip(bands, by_scene.merged(chosen), strict=True):
                self.add_band((*key, name), sums)

    def add_labels(self, key: SceneKey, labels: NDArray[np.uint8]) -> None:
        """Count the labels of more pixels of a split and season, in any shape."""
        counts = np.bincount(labels.ravel(), minlength=256)
        self.labels[key] = self.labels.get(key, np.zeros(256, np.int64)) + counts

    def add(self, other: "Sums") -> None:
        """Add the sums over another part of the store."""
        for band_key, sums in other.bands.items():
            self.add_band(band_key, sums)
        for scene_key, counts in other.labels.items():
            self.labels[scene_key] = self.labels.get(scene_key, np.zeros(256, np.int64)) + counts


def merge_sums(parts: Sequence[Sums]) -> Sums:
    """Sum over several parts of a store."""
    merged = Sums()
    for part in parts:
        merged.add(part)
    return merged


def pixels_with_data(array: str, values: NDArray[Any], nodata: int) -> NDArray[np.bool_]:
    """Where scenes (..., band, y, x) have data, (..., y, x).

    A Sentinel-2 pixel without data is 0 in all bands; a single band may be 0 over dark water. A
    Sentinel-1 pixel has none if either polarisation has none.
    """
    missing = values == nodata
    return ~(missing.all(axis=-3) if array.startswith("s2") else missing.any(axis=-3))


@dataclass(frozen=True)
class _SceneSums:
    """The attributes of `BandSums` as arrays: count (scene,), the others (scene, band)."""

    count: NDArray[np.int64]
    total: NDArray[np.int64]
    squares: NDArray[np.int64]
    smallest: NDArray[np.int64]
    largest: NDArray[np.int64]

    def merged(self, chosen: Sequence[bool]) -> list[BandSums]:
        """Each band over some of the scenes, those without any data left out."""
        rows = np.array(chosen) & (self.count > 0)
        count = int(self.count[rows].sum())
        if not count:
            return [BandSums(0, 0, 0, 0, 0)] * self.total.shape[1]
        columns = (
            self.total[rows].sum(axis=0).tolist(),
            self.squares[rows].sum(axis=0).tolist(),
            self.smallest[rows].min(axis=0).tolist(),
            self.largest[rows].max(axis=0).tolist(),
        )
        return [BandSums(count, *figures) for figures in zip(*columns, strict=True)]


def _scene_sums(values: NDArray[Any], with_data: NDArray[np.bool_]) -> _SceneSums:
    """Sum all scenes in few calls: a call for each band is slow, and threads wait for each other.

    64 bits hold the squares of 16 bits of two thousand million pixels.
    """
    stored = values.reshape(*values.shape[:2], -1)
    known = with_data.reshape(len(values), 1, -1)
    wide = stored.astype(np.int64)
    limits = np.iinfo(values.dtype)
    least = most = stored
    if not known.all():
        wide *= known
        least, most = np.where(known, stored, limits.max), np.where(known, stored, limits.min)
    return _SceneSums(
        count=known.sum(axis=(1, 2)),
        total=wide.sum(axis=-1),
        squares=np.einsum("sbp,sbp->sb", wide, wide),
        smallest=least.min(axis=-1).astype(np.int64),
        largest=most.max(axis=-1).astype(np.int64),
    )
