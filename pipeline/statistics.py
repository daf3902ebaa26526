"""Band statistics and class counts of a finished store: ``python -m pipeline.statistics``.

One Dask task reads one shard, a season at a time; tasks are merged as a tree. Everything is summed
as integers of the stored values, so the figures are exact and depend neither on the number of cores
nor on the order in which shards are read.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.dask_cluster import dask_cluster, map_and_merge
from pipeline.errors import PipelineError, run_step
from pipeline.legend import UNLABELLED, load_legend
from pipeline.settings.dataset import SEASONS
from pipeline.store.create import read_attributes, replace_attributes
from pipeline.store.groups import read_records
from pipeline.store.layout import NATIVE_LAYOUT, PIXEL_ARRAYS
from pipeline.store.shard_reader import open_chunks
from pipeline.store.shards import read_store_shape

_LABEL = "label"


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
    labels: dict[tuple[str, int], NDArray[np.int64]] = field(default_factory=dict)

    def add_band(self, key: BandKey, sums: BandSums) -> None:
        """Add the sums of more pixels of a band."""
        if sums.count:
            known = self.bands.get(key)
            self.bands[key] = known.merged(sums) if known else sums

    def add_labels(self, key: tuple[str, int], counts: NDArray[np.int64]) -> None:
        """Add the counts of more labels."""
        self.labels[key] = self.labels.get(key, np.zeros(256, np.int64)) + counts


def store_statistics(store: Path) -> dict[str, Any]:
    """Compute the statistics of the valid samples of a store, on whatever Dask is set to.

    Returns:
        ``bands`` and ``classes``, each by split and season (``all`` or 0 to 3): of a band count,
        mean, std, min and max (Sentinel-2 in reflectance x 10000, Sentinel-1 in dB), of a class the
        number of pixels; and ``samples``, their number by split.

    Raises:
        PipelineError: There is no finished store of native layout, or one of its files is damaged.
    """
    attributes = read_attributes(store)
    if attributes is None or attributes.get("layout") != NATIVE_LAYOUT:
        raise PipelineError(f"{store} is not a store of layout {NATIVE_LAYOUT}; build it first")
    splits = _valid_samples(store)
    shard_size = read_store_shape(store).shard_size
    shards: dict[int, dict[int, str]] = {}
    for sample, split in splits.items():
        shards.setdefault(sample // shard_size, {})[sample] = split
    parts = [(store, samples) for samples in shards.values()]
    sums = map_and_merge(shard_sums, parts, merge_sums, f"statistics of {store.name}") or Sums()
    counts = {split: list(splits.values()).count(split) for split in sorted(set(splits.values()))}
    return {"samples": counts, **figures(sums)}


def figures(sums: Sums) -> dict[str, Any]:
    """``bands`` and ``classes`` of `store_statistics` from the sums over a whole store."""
    return {"bands": _band_figures(sums), "classes": _class_figures(sums)}


def shard_sums(store: Path, samples: Mapping[int, str]) -> Sums:
    """Sum over some samples.

    Args:
        store: The store.
        samples: Split of each sample.
    """
    sums = Sums()
    for array in PIXEL_ARRAYS:
        chunks = open_chunks(store / array.name)
        buffer = np.empty(chunks.item_shape, chunks.dtype)
        for sample, split in samples.items():
            if array.name == _LABEL:
                chunks.read_into(buffer, sample)
                for season in range(SEASONS):
                    counts = np.bincount(buffer[season].ravel(), minlength=256)
                    sums.add_labels((split, season), counts)
                continue
            for season in range(SEASONS):
                chunks.read_into(buffer, sample, season)
                with_data = pixels_with_data(array.name, buffer, array.nodata)
                for band, band_sums in sum_bands(array.band_names, buffer, with_data):
                    sums.add_band((split, season, band), band_sums)
        chunks.close()
    return sums


def merge_sums(parts: Sequence[Sums]) -> Sums:
    """Sum over several parts of a store."""
    merged = Sums()
    for part in parts:
        for band_key, sums in part.bands.items():
            merged.add_band(band_key, sums)
        for label_key, counts in part.labels.items():
            merged.add_labels(label_key, counts)
    return merged


def sum_bands(
    names: Sequence[str], values: NDArray[Any], with_data: NDArray[np.bool_]
) -> Iterator[tuple[str, BandSums]]:
    """The sums of each band of one scene, over the pixels that have data.

    Args:
        names: Of the bands.
        values: (band, y, x), integers as stored.
        with_data: (y, x).
    """
    for name, band in zip(names, values, strict=True):
        known = band[with_data].astype(np.int64)
        smallest, largest = (int(known.min()), int(known.max())) if known.size else (0, 0)
        squares = int((known * known).sum())
        yield name, BandSums(known.size, int(known.sum()), squares, smallest, largest)


def pixels_with_data(array: str, values: NDArray[Any], nodata: int) -> NDArray[np.bool_]:
    """Where one scene (band, y, x) has data, (y, x).

    A Sentinel-2 pixel without data is 0 in all bands; a single band may be 0 over dark water. A
    Sentinel-1 pixel has none if either polarisation has none.
    """
    missing = values == nodata
    return ~(missing.all(axis=0) if array.startswith("s2") else missing.any(axis=0))


def _valid_samples(store: Path) -> dict[int, str]:
    """The split of each valid sample."""
    valid, split = (read_records(store, name) for name in ("valid", "split"))
    return {int(sample): str(split[sample]) for sample in np.flatnonzero(valid)}


def _band_figures(sums: Sums) -> dict[str, Any]:
    scales = {
        name: array.attributes.get("scale_factor", 1)
        for array in PIXEL_ARRAYS
        for name in array.band_names
    }
    totals = dict(sums.bands)
    for (split, _, band), season_sums in sums.bands.items():
        whole = totals.get((split, -1, band))
        totals[split, -1, band] = whole.merged(season_sums) if whole else season_sums
    figures: dict[str, Any] = {}
    for (split, season, band), total in sorted(totals.items()):
        by_band = figures.setdefault(split, {}).setdefault(_season_name(season), {})
        by_band[band] = total.figures(scales[band])
    return figures


def _class_figures(sums: Sums) -> dict[str, Any]:
    totals = dict(sums.labels)
    for (split, _), counts in sums.labels.items():
        totals[split, -1] = totals.get((split, -1), np.zeros(256, np.int64)) + counts
    names = {row.flag_meaning: row.id for row in load_legend("dynamic_world")}
    names["unlabelled"] = UNLABELLED
    figures: dict[str, Any] = {}
    for (split, season), counts in sorted(totals.items(), key=lambda item: item[0]):
        by_class = {name: int(counts[value]) for name, value in names.items()}
        figures.setdefault(split, {})[_season_name(season)] = by_class
    return figures


def _season_name(season: int) -> str:
    return "all" if season < 0 else str(season)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the statistics of a store beside it and into its attributes."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.statistics", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="finished store")
    parser.add_argument("--output", type=Path, required=True, help="file to write (JSON)")
    parser.add_argument("--threads", type=int, default=1, help="workers to use (default: 1)")
    parser.add_argument("--workers", choices=["threads", "processes"], default="threads")
    parser.add_argument("--scheduler", help="address of a Dask cluster to use instead")
    options = parser.parse_args(arguments)
    with dask_cluster(options.threads, options.workers, options.scheduler):
        statistics = store_statistics(options.store)
    replace_attributes(options.store, {"statistics": statistics})
    write_atomically(options.output, json.dumps(statistics, indent=1).encode() + b"\n")
    print(f"statistics of {sum(statistics['samples'].values())} samples: {options.output}")


if __name__ == "__main__":
    run_step(main)
