"""Finished stores of both forms, small, with their indices, as the tests of metadata need them."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.finish import finish_store
from pipeline.grid import PatchGrid
from pipeline.ledger import Reason, Status
from pipeline.locations.table import write_locations
from pipeline.osm_landuse.store import OSM_ARRAYS, OSM_RECORDS
from pipeline.store.commit import write_commit
from pipeline.store.create import create_store
from pipeline.store.description import common_attributes, group_attributes
from pipeline.store.sample_index import index_store
from pipeline.store.shards import write_shard
from pipeline.store.tile_layout import TILE_LAYOUT, TileGroup
from pipeline.store.tiles import create_tile_store, finish_tiles, write_tiles
from tests.small_dataset import make_location, make_pixels, make_rows, make_settings

REJECTED = 2
COUNT = 6
TILE = 8


class Described:
    """A finished store beside its index."""

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        self.store = folder / f"{kind}.zarr"
        self.index = folder / f"{kind}.index.parquet"
        self.output = folder / "metadata" / kind


def _committed(sample):
    if sample != REJECTED:
        return [replace(row, status=Status.DONE) for row in make_rows(sample)]
    lost = {"status": Status.REJECTED, "reason": Reason.CLOUD, "s2_time": 0, "cloud_cover": None}
    return [replace(row, **lost) for row in make_rows(sample)]


@pytest.fixture(scope="session")
def nol(tmp_path_factory):
    """``nol.zarr`` with six places in two shards, one of them rejected."""
    made = Described(tmp_path_factory.mktemp("described"), "nol")
    settings = make_settings(made.folder / "results")
    create_store(made.store, settings, COUNT)
    write_locations(made.folder / "places.parquet", map(make_location, range(COUNT)))
    for shard, samples in enumerate((range(4), range(4, COUNT))):
        kept = [sample for sample in samples if sample != REJECTED]
        pixels = {(k, t): make_pixels(k, t) for k in kept for t in range(4)}
        hashes = write_shard(made.store, shard, pixels)
        rows = [row for sample in samples for row in _committed(sample)]
        ledger = made.folder / "shards" / f"{shard}.parquet"
        write_commit(ledger, rows, made.store, hashes, settings.dataset_hash())
    finish_store(
        settings, made.store, made.folder / "shards", made.folder / "places.parquet", made.index
    )
    return made


@pytest.fixture(scope="session")
def osm(tmp_path_factory):
    """``osm.zarr`` with two training tiles and one test tile, which had a border."""
    made = Described(tmp_path_factory.mktemp("described"), "osm")
    settings = make_settings(made.folder / "results")
    shared = {key: group_attributes(settings)[key] for key in ("source", "simulated")}
    tiles = {"train_pixels": TILE - 2, "test_pixels": TILE}
    attributes = common_attributes("osm", TILE_LAYOUT) | shared
    attributes |= {"title": "OSM", "dataset_hash": "0" * 16, "settings": {"dynamic_world": tiles}}
    counts = {"train": 2, "test": 1}
    groups = {k: TileGroup(n, TILE, OSM_ARRAYS, OSM_RECORDS, 2) for k, n in counts.items()}
    create_tile_store(made.store, groups, attributes)
    for name, group in groups.items():
        blank = {
            array.name: np.ones(array.tile_shape(group.size), array.dtype) for array in group.arrays
        }
        write_tiles(made.store, name, 0, dict.fromkeys(range(group.count), blank))
        finish_tiles(made.store, name, _tile_records(name, group.count), [True] * group.count)
    index_store(made.store, made.index)
    return made


def _tile_records(split, count):
    grids = [PatchGrid(32632, 600_000.0 + 1000 * k, 5_300_000.0, TILE, TILE) for k in range(count)]
    return {
        "id": [f"{split}_{k}" for k in range(count)],
        "lon": [grid.centre_lonlat[0] for grid in grids],
        "lat": [grid.centre_lonlat[1] for grid in grids],
        "epsg": [grid.epsg for grid in grids],
        "left": [grid.left for grid in grids],
        "top": [grid.top for grid in grids],
        "split": [split] * count,
        "s2_id": ["20210714T102800_20210714T103123_T32UPU"] * count,
        "s1_id": ["S1A_IW_GRDH_1SDV_20210722T163449_20210722T163514_038922_0018A0_EDFA"] * count,
        "s2_time": [1_626_258_683_000] * count,
        "s1_time": [1_626_971_689_000] * count,
        "cloud_cover": [10.0782] * count,
        "label_date": [18_816] * count,
        "published_split": ["train"] * count,
    }
