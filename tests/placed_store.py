"""A small finished store whose samples have a place, a date and scenes, for tests of exports."""

from pathlib import Path

import dask
import numpy as np
import zarr

from pipeline.grid import PatchGrid
from pipeline.season_pixels import S1_NODATA
from pipeline.settings.tree import validate_settings
from pipeline.statistics import store_statistics
from pipeline.store.create import create_store, replace_attributes
from pipeline.store.shards import write_shard
from tests.small_dataset import make_pixels

PATCH = 48
SAMPLES = 6
EMPTY = 4
"""One sample that was rejected."""

VALIDATION = 1
EPSG = 32633
FIRST_TIME = 1_609_459_200_000  # 2021-01-01, ms since 1970


def grid_of(sample: int, patch: int = PATCH) -> PatchGrid:
    """Where a sample lies: every one east of the one before."""
    return PatchGrid(EPSG, 500_040.0 + 10_020 * sample, 5_300_040.0, patch, patch)


def ids_of(samples: int = SAMPLES) -> list[str]:
    return [f"{sample:04d}" for sample in range(samples)]


def pixels_of(sample: int, season: int, patch: int = PATCH):
    """Random pixels; the first pixel of Sentinel-1 has no data, the first label none."""
    pixels = make_pixels(sample, season, patch)
    pixels.s1[:, 0, 0] = S1_NODATA
    pixels.label[0, 0] = 255
    return pixels


def write_placed_store(path: Path, patch: int = PATCH) -> Path:
    settings = validate_settings({"grid": {"pixels": patch}, "store": {"shard_size": 4}})
    create_store(path, settings, SAMPLES)
    kept = [sample for sample in range(SAMPLES) if sample != EMPTY]
    for shard in range(-(-SAMPLES // 4)):
        here = [sample for sample in kept if sample // 4 == shard]
        pixels = {(k, t): pixels_of(k, t, patch) for k in here for t in range(4)}
        write_shard(path, shard, pixels)
    _write_records(path, patch, kept)
    with dask.config.set(scheduler="synchronous"):
        replace_attributes(path, {"statistics": store_statistics(path)})
    return path


def _write_records(path: Path, patch: int, kept: list[int]) -> None:
    grids = [grid_of(sample, patch) for sample in range(SAMPLES)]
    splits = ["validation" if k == VALIDATION else "train" for k in range(SAMPLES)]
    scenes = [[f"s2_{k}_{t}" for t in range(4)] for k in range(SAMPLES)]
    group = zarr.open_group(path, mode="r+")
    group["id"][:] = np.array(ids_of(), dtype=object)
    group["split"][:] = np.array(splits, dtype=object)
    group["epsg"][:] = np.full(SAMPLES, EPSG)
    group["left"][:] = np.array([grid.left for grid in grids])
    group["top"][:] = np.array([grid.top for grid in grids])
    group["lon"][:] = np.array([grid.centre_lonlat[0] for grid in grids])
    group["lat"][:] = np.array([grid.centre_lonlat[1] for grid in grids])
    group["s2_id"][:] = np.array(scenes, dtype=object)
    group["s2_time"][:] = FIRST_TIME + np.arange(SAMPLES * 4).reshape(SAMPLES, 4) * 86_400_000
    group["valid"][:] = np.isin(np.arange(SAMPLES), kept)
