"""Bands are recognised, and pixels without data told from dark ones."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.errors import PipelineError
from tests.training.learnable_tiles import EMPTY, SIZE, tile
from training.loading.inputs import InputContract, band_names
from training.maps.blending import Window
from training.maps.scenes import FileScene, StoreScene, plain_band_name

WHOLE = Window(0, 0, SIZE, SIZE)
CONTRACT = InputContract(
    "s2", ("B10", "B4"), "reflectance x 10000", "clip2std", (1.0,) * 2, (1.0,) * 2
)
RADAR = InputContract("s1", ("VH", "VV"), "dB", "clip2std", (1.0,) * 2, (1.0,) * 2)


def write(path, bands, names):
    profile = {
        "driver": "GTiff", "count": len(bands), "height": SIZE, "width": SIZE, "nodata": None,
        "dtype": bands.dtype.name, "crs": "EPSG:32632",
        "transform": Affine(10, 0, 500_000, 0, -10, 5_400_000),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(bands)
        file.descriptions = names
    return path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("B04", "B4"), ("B8A", "B8A"), ("T33UUB_20170527_B02_10m", "B2"), ("B12", "B12"),
        ("VV", "VV"), ("S1A_IW_VH", "VH"), ("NDVI", None), ("B13", None),
    ],
)  # fmt: skip
def test_band_names_are_recognised(text, name):
    assert plain_band_name(text) == name


def test_a_tile_has_the_bands_of_the_contract_in_their_order(tile_store):
    values, present = StoreScene(tile_store, "test", 3, CONTRACT).read(WHOLE)
    pixels = tile("test", 3)
    np.testing.assert_array_equal(values, pixels["s2"][[10, 3]])
    assert present.all()
    values, _ = StoreScene(tile_store, "test", 3, RADAR).read(Window(2, 3, 5, 7))
    np.testing.assert_allclose(values, pixels["s1"][[1, 0], 2:7, 3:10] / 100, rtol=1e-6)
    with pytest.raises(PipelineError, match=f"no valid tile {EMPTY} in its group 'test'"):
        StoreScene(tile_store, "test", EMPTY, CONTRACT)


def test_a_dark_band_is_no_gap_in_a_file(tmp_path):
    """B10 rounds to 0 over dark, clear ground; a map would be full of holes there."""
    cube = tile("train", 0)["s2"].copy()
    cube[10, 4:] = 0
    cube[:, :2] = 0
    path = write(tmp_path / "s2.tif", cube, list(band_names("s2")))
    with FileScene([path], CONTRACT) as scene:
        values, present = scene.read(WHOLE)
    np.testing.assert_array_equal(values, cube[[10, 3]])
    assert present[2:].all() and not present[:2].any()


def test_backscatter_needs_both_polarisations(tmp_path):
    decibels = (tile("train", 0)["s1"] / 100).astype(np.float32)
    decibels[0, :3], decibels[1, 3:5], decibels[1, 5] = np.nan, -np.inf, -9999
    with FileScene([write(tmp_path / "s1.tif", decibels, ["VV", "VH"])], RADAR) as scene:
        values, present = scene.read(WHOLE)
    assert present[6:].all() and not present[:6].any()
    np.testing.assert_array_equal(values[:, 6:], decibels[[1, 0], 6:])
    assert (values[1, :3] == 0).all() and (values[0, 3:5] == 0).all()


def test_an_offset_is_added_to_reflectance_alone(tmp_path):
    cube = tile("train", 0)["s2"]
    path = write(tmp_path / "s2.tif", cube, list(band_names("s2")))
    with FileScene([path], CONTRACT, offset=-1000) as scene:
        values, _ = scene.read(WHOLE)
    np.testing.assert_array_equal(values, cube[[10, 3]].astype(np.float32) - 1000)
