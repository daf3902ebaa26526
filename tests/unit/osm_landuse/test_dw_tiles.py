"""Which tiles of dw.zarr land-use pictures are asked for, and how."""

import logging

import pytest

from pipeline.dynamic_world.store import DW_ARRAYS
from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.osm_landuse.dw_tiles import imaged_tiles
from pipeline.osm_landuse.pictures import rate_file, refuse_simulated_land_use
from pipeline.settings.tree import validate_settings
from pipeline.store.tile_layout import TileGroup
from pipeline.store.tiles import create_tile_store, finish_tiles

ATTRIBUTES = {"title": "a test", "source": "", "simulated": True, "dataset_hash": "a" * 16}
PLAIN = PatchGrid(32632, 475_003.5, 5_475_000.0, 40, 40)
FIJI = PatchGrid(32760, 819_920.0, 8_162_400.0, 40, 40)
"""Across the antimeridian."""


def test_valid_tiles_but_for_those_across_the_antimeridian(tmp_path, caplog):
    store = tmp_path / "dw.zarr"
    groups = {name: TileGroup(3, 40, DW_ARRAYS) for name in ("train", "test")}
    create_tile_store(store, groups, ATTRIBUTES)
    grids = [PLAIN, FIJI, PLAIN]
    records = {key: [getattr(grid, key) for grid in grids] for key in ("epsg", "left", "top")}
    for name in groups:
        ids = [f"{name}_{place}" for place in ("plain", "fiji", "rejected")]
        finish_tiles(store, name, records | {"id": ids}, [True, True, False])
    with caplog.at_level(logging.WARNING):
        tiles = imaged_tiles(store)
    assert [(tile.tile_id, tile.published_split, tile.sample) for tile in tiles] == [
        ("train_plain", "train", 0),
        ("test_plain", "test", 0),
    ]
    assert tiles[0].grid == PLAIN
    assert "train_fiji lies across the antimeridian" in caplog.text


def test_datasets_of_one_folder_share_the_rate_of_a_server():
    def of(name, service):
        return rate_file(validate_settings({"name": name, "osm_landuse": {"service": service}}))

    first = of("a", "https://maps.example.org/one")
    assert first == of("b", "https://maps.example.org/two")
    assert first != of("a", "https://other.example.org/one")
    assert of("a", "simulated") is None


def test_made_up_land_use_is_never_put_on_real_imagery():
    google = {"earthengine": {"service": "google", "project": "p"}}
    with pytest.raises(PipelineError, match="does not go with earthengine.service = google"):
        refuse_simulated_land_use(validate_settings(google))
    real = {"osm_landuse": {"service": "https://maps.example.org"}}
    refuse_simulated_land_use(validate_settings(google | real))
    refuse_simulated_land_use(validate_settings({}))
