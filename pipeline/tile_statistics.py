"""Band statistics and class counts of a store of tiles: ``python -m pipeline.tile_statistics``.

They have the form of those of ``nol.zarr`` (`pipeline.statistics`), by group instead of split; the
one date of a tile is the season ``all``. One Dask task reads one shard, a tile at a time, and sums
integers, so that the figures are exact.

Where Sentinel-2 has no data Sentinel-1 does not count either: the border that pads the tiles of
``osm.zarr`` is 0 dB, as bright as a town.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dask_cluster import map_and_merge
from pipeline.errors import PipelineError, run_step
from pipeline.label_classes import label_classes
from pipeline.legend import UNLABELLED
from pipeline.pixel_sums import Sums, merge_sums, pixels_with_data
from pipeline.statistics import record_statistics
from pipeline.store.create import read_attributes
from pipeline.store.groups import group_names, read_records
from pipeline.store.shard_reader import open_chunks
from pipeline.store.tile_layout import TILE_LAYOUT
from pipeline.store.tiles import read_tile_group

_LABEL, _OPTICAL = "label", "s2"
_ONLY_SEASON = 0


def tile_statistics(store: Path) -> dict[str, Any]:
    """Compute the statistics of the valid tiles of a store, on whatever Dask is set to.

    Returns:
        ``bands`` and ``classes``, each by group and ``all``: of a band count, mean, std, min and
        max (Sentinel-2 in reflectance x 10000, Sentinel-1 in dB), of a class of ``label`` the
        number of pixels; and ``samples``, their number by group.

    Raises:
        PipelineError: There is no finished store of tiles, or one of its files is damaged.
    """
    attributes = read_attributes(store) or {}
    if attributes.get("layout") != TILE_LAYOUT:
        raise PipelineError(f"{store} is not a store of layout {TILE_LAYOUT}; build it first")
    valid = {
        group: np.flatnonzero(read_records(store / group, "valid"))
        for group in group_names(store, attributes)
    }
    parts = [
        (store, group, samples)
        for group in valid
        for samples in _by_shard(valid[group], read_tile_group(store, group).shard_size)
    ]
    sums = map_and_merge(shard_sums, parts, merge_sums, f"statistics of {store.name}") or Sums()
    counts = {group: len(samples) for group, samples in valid.items()}
    return {"samples": counts, **tile_figures(store, list(valid), sums)}


def tile_figures(store: Path, groups: Sequence[str], sums: Sums) -> dict[str, Any]:
    """``bands`` and ``classes`` of `tile_statistics` from the sums over a whole store.

    Args:
        store: Its metadata tell units and classes.
        groups: Their names.
        sums: By group, and season 0.
    """
    return {
        "bands": {group: {"all": _band_figures(store, group, sums)} for group in groups},
        "classes": {group: {"all": _class_figures(store, group, sums)} for group in groups},
    }


def shard_sums(store: Path, group: str, samples: NDArray[np.int64]) -> Sums:
    """Sum over some tiles of one group; the season of all is 0.

    Args:
        store: The store.
        group: Name of the group.
        samples: Their numbers.
    """
    sums = Sums()
    bands = _band_names(store, group)
    arrays = [
        array
        for array in read_tile_group(store, group).arrays
        if array.name in bands or array.name == _LABEL
    ]
    nodata = {array.name: array.nodata for array in arrays if array.name in bands}
    readers = {array.name: open_chunks(store / group / array.name) for array in arrays}
    tile = {name: np.empty(reader.item_shape, reader.dtype) for name, reader in readers.items()}
    for sample in samples:
        for name, reader in readers.items():
            reader.read_into(tile[name], int(sample))
        for name, with_data in pixels_that_count(nodata, tile).items():
            scene, known = tile[name][None], with_data[None]
            sums.add_scenes([(group, _ONLY_SEASON)], bands[name], scene, known)
        if _LABEL in tile:
            sums.add_labels((group, _ONLY_SEASON), tile[_LABEL])
    for reader in readers.values():
        reader.close()
    return sums


def pixels_that_count(
    nodata: Mapping[str, int], tile: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[np.bool_]]:
    """Where the imagery of a tile has data, without the border that pads it.

    Args:
        nodata: As stored, by name of the arrays of imagery.
        tile: Pixels by name of the array, (..., band, y, x).

    Returns:
        (..., y, x) by name of the array.
    """
    counting = {name: pixels_with_data(name, tile[name], value) for name, value in nodata.items()}
    optical = counting.get(_OPTICAL)
    if optical is not None and optical.any():
        counting = {name: with_data & optical for name, with_data in counting.items()}
    return counting


def _band_names(store: Path, group: str) -> dict[str, list[str]]:
    """The bands of each array of imagery, in the order of the axis."""
    tables = (read_attributes(store / group) or {}).get("bands", {})
    return {array: [band["name"] for band in table] for array, table in tables.items()}


def _by_shard(samples: NDArray[np.int64], shard_size: int) -> Iterator[NDArray[np.int64]]:
    shards = samples // shard_size
    for shard in np.unique(shards):
        yield samples[shards == shard]


def _band_figures(store: Path, group: str, sums: Sums) -> dict[str, Any]:
    scales = {
        band: array.attributes.get("scale_factor", 1)
        for array in read_tile_group(store, group).arrays
        for band in _band_names(store, group).get(array.name, [])
    }
    found = {band: sums.bands.get((group, _ONLY_SEASON, band)) for band in scales}
    return {band: total.figures(scales[band]) for band, total in found.items() if total}


def _class_figures(store: Path, group: str, sums: Sums) -> dict[str, int]:
    counts = sums.labels.get((group, _ONLY_SEASON))
    if counts is None:
        return {}
    legend = label_classes(read_attributes(store / group / _LABEL) or {})
    ids = {row.key: row.id for row in legend} | {"unlabelled": UNLABELLED}
    return {name: int(counts[value]) for name, value in ids.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the statistics of a store of tiles beside it and into its attributes."""
    record_statistics("python -m pipeline.tile_statistics", tile_statistics, "tiles", arguments)


if __name__ == "__main__":
    run_step(main)
