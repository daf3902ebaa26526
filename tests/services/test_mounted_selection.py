"""Scenes that are not as the archive's usually are, mounted from files: off the lattice, untold."""

import datetime as dt
import json

import numpy as np
import pytest
import rasterio

from pipeline.earthengine.pixels import fetch_season
from pipeline.earthengine.queries import select_candidates
from pipeline.earthengine.session import earth_engine
from pipeline.grid import patch_grid
from pipeline.ledger import Status
from pipeline.locations.location import Location
from pipeline.selection import choose_scenes
from pipeline.sensors import cube_bands
from pipeline.settings.tree import validate_settings
from pipeline.simulator.mounted import MountedArchive
from pipeline.simulator.server import SimulatedEarthEngine

DATES = (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22))
GRID = patch_grid(14.0, 48.0, 12)
SPOT = Location(0, "0000000", 14.0, 48.0, GRID, DATES, "train", 0)
OPTICAL = [band.name for band in cube_bands("sentinel-2")]
SIZE, MARGIN, SHIFT = 20, 4, 3.7
"""Pixels of a scene, pixels of it before the patch, and metres its origin lies off the lattice."""


@pytest.fixture
def scenes():
    rng = np.random.default_rng(3)
    return {
        "COPERNICUS/S2_HARMONIZED": rng.integers(1, 9000, (13, SIZE, SIZE), np.uint16),
        "COPERNICUS/S1_GRD": rng.uniform(-25, 0, (2, SIZE, SIZE)).astype(np.float32),
        "GOOGLE/DYNAMICWORLD/V1": rng.integers(0, 9, (1, SIZE, SIZE), np.uint8),
    }


@pytest.fixture
def server(scenes, tmp_path):
    properties = {
        "COPERNICUS/S2_HARMONIZED": {"CLOUDY_PIXEL_PERCENTAGE": 3.5, "MGRS_TILE": "33UVP"},
        "COPERNICUS/S1_GRD": {
            "instrumentMode": "IW",
            "transmitterReceiverPolarisation": ["VV", "VH"],
        },
        "GOOGLE/DYNAMICWORLD/V1": {},
    }
    bands = [OPTICAL, ["VV", "VH"], ["label"]]
    manifest = []
    for (collection, values), names in zip(scenes.items(), bands, strict=True):
        file = f"{collection.rpartition('/')[2]}.tif"
        write_scene(tmp_path / file, values)
        manifest += [
            {
                "collection": collection,
                "index": f"scene_{season}",
                "file": file,
                "bands": names,
                "time": f"{date}T10:00:00Z",
                "properties": properties[collection],
            }
            for season, date in enumerate(DATES)
        ]
    (tmp_path / "scenes.json").write_text(json.dumps({"scenes": manifest}))
    with SimulatedEarthEngine(MountedArchive(tmp_path)) as running:
        yield running


def write_scene(path, values):
    left, top = GRID.left - 10 * MARGIN - SHIFT, GRID.top + 10 * MARGIN + SHIFT
    profile = {
        "driver": "GTiff",
        "count": len(values),
        "height": SIZE,
        "width": SIZE,
        "dtype": values.dtype,
        "crs": GRID.crs,
        "transform": rasterio.Affine(10.0, 0.0, left, 0.0, -10.0, top),
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)


def test_a_real_scene_at_its_own_origin_is_selected_and_fetched(server, scenes, tmp_path):
    settings = validate_settings({"results": str(tmp_path), "earthengine": {"service": server.url}})
    with earth_engine(settings, "standard", 1) as client:
        ((_, candidates),) = select_candidates(client, [SPOT], settings)
    row = choose_scenes(SPOT, candidates, "paper")[2]
    assert (row.status, row.s2_id, row.cloud_cover) == (Status.SELECTED, "scene_2", 3.5)
    assert (row.processing_baseline, row.s1_orbit_pass, row.s1_relative_orbit) == ("", "", 0)

    with earth_engine(settings, "high_volume", 1) as client:
        pixels = fetch_season(client, row, GRID)
    inner = slice(MARGIN, MARGIN + 12)
    optical, radar, label = (values[:, inner, inner] for values in scenes.values())
    named = dict(zip(OPTICAL, optical, strict=True))
    assert np.array_equal(pixels.s2_10m, [named[name] for name in ("B2", "B3", "B4", "B8")])
    assert np.array_equal(pixels.s2_20m[0], named["B5"][1::2, 1::2])
    assert np.array_equal(pixels.s2_60m[2], named["B10"][3::6, 3::6])
    assert np.array_equal(pixels.s1, np.rint(radar * 100).astype(np.int16))
    assert np.array_equal(pixels.label, label[0])
    asked = [record for record in server.journal if record.kind == "pixels"]
    assert len(asked) == 2  # the first answer was doubted
